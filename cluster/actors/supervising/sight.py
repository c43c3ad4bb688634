"""What a supervisor sees of its cluster: the coordinator says whether it serves, and Ray which processes live.

While all is well, the coordinator alone is asked, from process to process: without Ray's GCS and without the stages.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError

from cluster.actors.driver.launch import COORDINATOR, stage_name
from cluster.actors.ray_side.calls import one_line
from cluster.actors.supervising.pace import Finding
from cluster.actors.supervising.silence import HUNG_S, Silence

ANSWER_S = 0.5  # for whoever lives; who does not answer is not taken for dead
CONFIRM_S = 1.0


class Sight:
    """For one thread. `reason` says what was wrong at the last look."""

    def __init__(self, namespace: str, num_stages: Callable[[], int]) -> None:
        self._namespace = namespace
        self._num_stages = num_stages
        self._coordinator: Any = None
        self._asked: Any = None  # what it is asked, until it has answered
        self._silence = Silence()
        self.reason = ""
        self.is_hung = False  # the coordinator lives, and answers nothing

    def look(self, wait_s: float) -> Finding:
        """How the cluster is now; the coordinator has `wait_s` to say so, and else at the next look."""
        self.is_hung = False
        try:
            trouble = self._ask(wait_s)
        except GetTimeoutError:
            return self._silent()
        except ActorUnavailableError:  # whether it is dead is found out meanwhile
            self._asked = None
            return Finding.UNKNOWN
        except (RayActorError, ValueError):  # the latter where Ray has forgotten it already
            self.forget()
            self.reason = "the coordinator's process died"
            return Finding.DEAD
        self._asked = None
        self._silence.end()
        self.reason = trouble
        return self._processes() if trouble else Finding.WELL

    def forget(self) -> None:
        """Another coordinator takes the place of the one that is known."""
        self._coordinator = self._asked = None
        self._silence.end()

    def confirms_hung(self) -> bool:
        """Whether the coordinator still says nothing: somebody may have kept it busy until now."""
        try:
            self._ask(CONFIRM_S)
        except GetTimeoutError:
            return True
        except (RayError, ValueError):
            return False
        self._asked = None
        return False

    def tell(self, given_up: str) -> None:
        """Let the coordinator know whether what is lost will be repaired, as far as it listens."""
        if self._coordinator is not None:
            self._coordinator.give_up.remote(given_up)

    def _ask(self, wait_s: float) -> str:
        if self._coordinator is None:
            self._coordinator = ray.get_actor(COORDINATOR, namespace=self._namespace)
        if self._asked is None:
            self._asked = self._coordinator.trouble.remote()
        trouble: str = ray.get(self._asked, timeout=wait_s)
        return trouble

    def _silent(self) -> Finding:
        if not self._silence.go_on(time.monotonic()):
            return Finding.UNKNOWN
        self.reason, self.is_hung = f"the coordinator has not answered for {HUNG_S:.0f} s", True
        return Finding.DEAD

    def _processes(self) -> Finding:
        """Whether one of the stages has died, where the cluster does not serve."""
        try:
            names = [stage_name(stage) for stage in range(self._num_stages())]
            asked = [ray.get_actor(name, namespace=self._namespace).pid.remote() for name in names]
        except ValueError:  # Ray has forgotten one already
            return Finding.DEAD
        except RayError as error:
            self.reason = f"{self.reason}; Ray: {one_line(error)}"
            return Finding.SILENT
        answered, _ = ray.wait(asked, num_returns=len(asked), timeout=ANSWER_S)
        found = {_finding(reference) for reference in answered}
        return next((one for one in (Finding.DEAD, Finding.UNKNOWN) if one in found), Finding.SILENT)


def _finding(answered: Any) -> Finding:
    try:
        ray.get(answered)
    except ActorUnavailableError:
        return Finding.UNKNOWN
    except RayActorError:
        return Finding.DEAD
    return Finding.SILENT
