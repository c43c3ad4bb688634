"""Requests that schemathesis makes of the document of the endpoints, right and wrong ones, over a real socket."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS

from tests.http.serving import Served

pytestmark = pytest.mark.native
NUM_CASES, NUM_MANY = 120, 2000
NAMED = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
LIMITS = ("max_tokens", "n_predict", "num_predict", "max_completion_tokens", "max_output_tokens")
MOST = 4  # tokens of an answer: nobody means to wait for as many as fit
ENDLESS = "/cluster/events"
DOCUMENTED = (501, 503, 504)
Case = schemathesis.Case


def operations(served: Served, *, have_bodies: bool) -> list[Any]:
    """Those that have a body, or not; of the two names of one, the shorter."""
    schema = schemathesis.openapi.from_dict(served.get("/openapi.json").json())
    found = [result.ok() for result in schema.get_all_operations()]
    return [
        one
        for one in found
        if one.path != ENDLESS
        and bool(one.definition.raw.get("requestBody")) == have_bodies
        and one.path.removeprefix("/v1") not in {other.path for other in found if other.path != one.path}
    ]


def limited(body: Any, limits: tuple[str, ...]) -> Any:
    """The same with a limit, where it is an object that may be asked about."""
    if not isinstance(body, dict):
        return body
    kept = {
        name: min(value, MOST) if name in LIMITS and isinstance(value, int) and value > 0 else value
        for name, value in body.items()
        if name not in LIMITS or not isinstance(value, int) or value >= 0
    }
    if isinstance(kept.get("options"), dict):
        kept["options"] = limited(kept["options"], ("num_predict",))
    return {**dict.fromkeys(limits, MOST), **kept}


def limits_of(case: Case) -> tuple[str, ...]:
    """What a body of this endpoint calls its most tokens."""
    schema = case.operation.definition.raw["requestBody"]["content"]["application/json"]["schema"]
    return tuple(name for name in LIMITS if name in schema.get("properties", ()))


def checked(served: Served, case: Case) -> int:
    """The status of the answer, which is as the document says."""
    case.headers = {**dict(case.headers or {}), "x-request-timeout-ms": "20000"}
    response = case.call(base_url=served.url, timeout=60)
    status = response.status_code
    assert status < 500 or status in DOCUMENTED, (case.as_curl_command(), response.text[:500])
    case.validate_response(response, checks=[CHECKS.get_one(name) for name in NAMED])
    return int(status)


def fuzz(served: Served, number: int) -> Counter[int]:
    """How many answers had each status."""
    found: Counter[int] = Counter()
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    strategies = [
        one.as_strategy(generation_mode=mode) for one in operations(served, have_bodies=True) for mode in modes
    ]

    @settings(
        max_examples=number,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(strategies))
    def ask(case: Case) -> None:
        case.body = limited(case.body, limits_of(case))
        found[checked(served, case)] += 1

    ask()
    return found


def check_alive(served: Served) -> None:
    """Nothing runs any more, and all slots serve."""
    served.wait_idle()
    answer = served.post("/v1/completions", {"prompt": "hi", "max_tokens": 2, "n": served.num_slots})
    assert (answer.status, len(answer.json()["choices"])) == (200, served.num_slots)


def test_all_that_takes_no_body(served: Served) -> None:
    for operation in operations(served, have_bodies=False):
        case = operation.Case(path_parameters=dict.fromkeys(("id", "name", "request_id", "slot"), "none"))
        assert checked(served, case) in (200, 404, 501), operation.path
    check_alive(served)


def test_bodies(served: Served) -> None:
    found = fuzz(served, NUM_CASES)
    assert found[200] > NUM_CASES // 20
    assert found[400] > NUM_CASES // 5
    check_alive(served)


@pytest.mark.slow
def test_many_bodies(served: Served) -> None:
    found = fuzz(served, NUM_MANY)
    assert found[200] > NUM_MANY // 20
    check_alive(served)
