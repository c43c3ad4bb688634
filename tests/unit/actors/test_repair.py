"""What is done with a remembered cluster, by what was found of it."""

from __future__ import annotations

import pytest

from cluster.actors.repair import Diagnosis, Remedy


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        (Diagnosis(True, None, "", True), Remedy.NOTHING),
        (Diagnosis(True, None, "", False), Remedy.NOTHING),
        (Diagnosis(True, None, "degraded: stage 1 is lost", True), Remedy.REPAIR),
        (Diagnosis(True, None, "no secret", False), Remedy.REBUILD),
        (Diagnosis(True, "Ray's raylet is dead", "Ray's raylet is dead", True), Remedy.REBUILD),
        (Diagnosis(False, None, "an earlier start did not finish", True), Remedy.REBUILD),
        (Diagnosis(False, "Ray does not answer", "Ray does not answer", True), Remedy.REBUILD),
    ],
)
def test_the_least_that_helps_is_done(found: Diagnosis, remedy: Remedy) -> None:
    assert found.remedy() is remedy
