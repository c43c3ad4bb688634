"""What is wrong with a request for reasons of HTTP."""

from __future__ import annotations

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
