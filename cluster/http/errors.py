"""What is wrong with a request for reasons of HTTP, and how errors are spelled where no API has its own way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.api.errors import ClusterError
from cluster.http.faces.face import Problem
from cluster.http.faces.problems import problem_of

INVALID = "invalid_request_error"


class RefusedError(Exception):
    """Holds the status that the request gets, and what is said with it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def refused(status: int, kind: str, message: str, code: str = "", retry_after_s: float | None = None) -> RefusedError:
    return RefusedError(Problem(status, kind, message, code, retry_after_s=retry_after_s))


def problem_for(error: Exception, request_id: str) -> Problem:
    """Of any exception. What is nobody's error but ours is not quoted: it may hold what a person wrote."""
    match error:
        case RefusedError():
            return error.problem
        case ClusterError():
            return problem_of(error, request_id)
        case _:
            message = f"server: an internal error; its log says more of request {request_id}"
            return Problem(500, "server_error", message, "internal_error", request_id=request_id)


def openai_error(problem: Problem) -> Mapping[str, Any]:
    """The body that OpenAI's clients read; `status` is there for llama-server's, and for people."""
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


def llama_error(problem: Problem) -> Mapping[str, Any]:
    """As llama-server has it, where `code` is a number."""
    return {
        "error": {
            "code": problem.status,
            "message": problem.message,
            "type": problem.kind,
            "param": problem.param or None,
            **(problem.more or {}),
        }
    }
