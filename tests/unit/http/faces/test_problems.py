"""Errors of the cluster as problems of HTTP."""

from __future__ import annotations

import pytest

from cluster.api.errors import (
    CapacityError,
    ClusterError,
    ContextOverflowError,
    StageLostError,
    UnauthenticatedError,
    UnsupportedModelError,
    UsageError,
)
from cluster.http.faces.problems import problem_of


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (UsageError("temperature: 200 is out of range; give less"), 400, "invalid_request_error"),
        (UnsupportedModelError("embeddings: this model has none; load one that has"), 501, "not_supported_error"),
        (CapacityError("queue: full, with 2 requests running and 8 waiting; try again later"), 429, "rate_limit_error"),
        (StageLostError("stage 1: it died; try again"), 503, "unavailable_error"),
        (UnauthenticatedError("coordinator: another secret; look"), 502, "server_error"),
        (ClusterError("tokenizer: lost twice; ask again"), 500, "server_error"),
    ],
)
def test_a_class_of_errors_has_a_status(error: ClusterError, status: int, kind: str) -> None:
    problem = problem_of(error, "req_1")
    assert (problem.status, problem.kind, problem.request_id) == (status, kind, "req_1")


def test_only_what_may_be_tried_again_says_when() -> None:
    assert problem_of(CapacityError("queue: full; later")).retry_after_s is not None
    assert problem_of(StageLostError("stage 1: it died; try again")).retry_after_s is not None
    assert problem_of(UsageError("n: too large; give less")).retry_after_s is None


def test_the_field_is_what_the_message_begins_with() -> None:
    assert problem_of(UsageError("messages[3].content: is a number; give text")).param == "messages[3].content"
    assert problem_of(UsageError("there is no such thing: at all")).param == ""


def test_a_prompt_that_does_not_fit_is_told_in_the_words_that_agents_look_for() -> None:
    problem = problem_of(ContextOverflowError.of("prompt", 5000, 1024))
    assert (problem.status, problem.kind, problem.code) == (400, "exceed_context_size_error", "context_length_exceeded")
    assert "maximum context length is 1024 tokens" in problem.message
    assert "prompt is too long: 5000 tokens > 1024 maximum" in problem.message
    assert problem.more == {"n_prompt_tokens": 5000, "n_ctx": 1024}
