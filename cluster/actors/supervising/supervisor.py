"""The supervisor actor: a thin shell around `Watch`. Left undecorated."""

from __future__ import annotations

import os
from pathlib import Path

import ray

from cluster.actors.supervising.watch import Watch
from cluster.node.dated_log import date_log
from cluster.planning.model_plan import ModelPlan


class Supervisor:
    """Repairs its cluster, in a process that outlives what it repairs. Nothing of it is on the way of a token."""

    def __init__(self, instance: str, namespace: str, home: str, plan: ModelPlan | None = None) -> None:
        """`home`: the folder of this node's state, which says what is up. `plan`: by which it came up, if it is known.

        Ray keeps all of it for another start, since it is small: a plan takes some kilobytes at most.
        """
        date_log()
        # As `cluster up` had it: what a Ray of somebody else has in its environment is not ours.
        os.environ["XDG_STATE_HOME"] = str(Path(home).parent)
        self._watch = Watch(instance, namespace)
        if ray.get_runtime_context().was_current_actor_reconstructed:
            self.begin(plan)  # nobody is there to ask for it: Ray has started it again

    def pid(self) -> int:
        return os.getpid()

    def begin(self, plan: ModelPlan | None = None) -> None:
        """The cluster is up, by this plan where it is known: watch it, as if nothing had happened before."""
        self._watch.begin(plan)
