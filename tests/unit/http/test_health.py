"""What a load balancer is told."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cluster.api.status import Condition, Health
from cluster.http.link import Link
from cluster.http.routes.health import _health
from tests.fakes.wire_backends import EchoCluster


def told(health: Health) -> tuple[int, dict[str, Any]]:
    status = replace(EchoCluster().status(), health=health)
    link = SimpleNamespace(is_ready=health.is_ready, status=status, served=object(), is_draining=False, reason="")
    found = _health(cast(Link, link))
    return found.status_code, json.loads(bytes(found.body))


def test_who_is_ready_is_ok() -> None:
    status, body = told(Health())
    assert (status, body["status"], body["state"]) == (200, "ok", "ready")


@pytest.mark.parametrize("condition", [Condition.DEGRADED, Condition.RECOVERING])
def test_who_is_not_says_why(condition: Condition) -> None:
    status, body = told(Health(condition, "stage 1 is lost: it died; for 2 s"))
    assert status == 503
    assert (body["state"], body["reason"]) == (str(condition), "stage 1 is lost: it died; for 2 s")
    assert body["error"]["message"] == f"The cluster is {condition}: stage 1 is lost: it died; for 2 s"
