"""The bodies of errors, by whose clients read them."""

from __future__ import annotations

from cluster.http.faces.face import Body, Problem


def openai_error(problem: Problem) -> Body:
    """`status` is there for clients of llama-server, whose `code` is a number, and for people."""
    return {
        "error": {
            "message": problem.message,
            "type": problem.kind,
            "param": problem.param or None,
            "code": problem.code or None,
            "status": problem.status,
            **(problem.more or {}),
        }
    }
