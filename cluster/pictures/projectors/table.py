"""The kinds of projectors that are served, by their names."""

from __future__ import annotations

from cluster.pictures.projectors.kind import ProjectorKind
from cluster.pictures.projectors.mlp import MLP

KINDS: dict[str, ProjectorKind] = {kind.name: kind for kind in (MLP,)}
