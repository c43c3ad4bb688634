"""Core dumps hold what a process knew: prompts, secrets, keys. They are written only where somebody asks for them."""

from __future__ import annotations

import os
import resource

VARIABLE = "CLUSTER_CORE_DUMPS"


def forbid_core_dumps() -> None:
    """For this process and those that it starts; CLUSTER_CORE_DUMPS=1 leaves things as they are."""
    if os.environ.get(VARIABLE) != "1":
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
