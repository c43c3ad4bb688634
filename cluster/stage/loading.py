"""From a spec to a stage that computes: the model of its kind, and the sampler behind the last one."""

from __future__ import annotations

from cluster.stage.model import StageModel
from cluster.stage.models.gguf import open_gguf
from cluster.stage.models.sampler import NativeSampler
from cluster.stage.runner import StageRunner
from cluster.stage.spec import OnProgress, StageSpec
from cluster.wire.access.keys import Keys


def load_stage(spec: StageSpec, report: OnProgress, keys: Keys | None = None) -> StageRunner:
    """Get and load what `spec` asks for, reporting (phase, fraction); `keys` are this node's, for peers.

    Errors of ours, by the kind of model.
    """
    return runner_of(spec, open_gguf(spec, spec.options, report, keys))


def runner_of(spec: StageSpec, model: StageModel) -> StageRunner:
    """With our sampler behind the model, if it is the last."""
    return StageRunner(spec, model, NativeSampler(spec, model.vocab_size) if model.is_last else None)
