"""From a spec to a stage that computes: the model of its kind, and the sampler behind the last one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cluster.grammar.vocabulary import Spelling
from cluster.stage.computing import Runner
from cluster.stage.grammars.compiled import CompiledGrammars
from cluster.stage.grammars.sampler import GrammarSampler
from cluster.stage.model import StageModel
from cluster.stage.models.gguf import open_gguf
from cluster.stage.models.sampler import NativeSampler
from cluster.stage.models.spelling import open_spelling
from cluster.stage.runner import StageRunner
from cluster.stage.spec import OnProgress, ProgramOptions, StageSpec, TextOptions
from cluster.wire.access.keys import Keys


def load_stage(spec: StageSpec, report: OnProgress, keys: Keys | None = None) -> Runner:
    """Get and load what `spec` asks for, reporting (phase, fraction); `keys` are this node's, for peers.

    Errors of ours, by the kind of model.
    """
    if isinstance(spec.options, ProgramOptions):
        from cluster.stage.models.program import open_program  # all operations of ggml take a while to import

        return open_program(spec, spec.options, report, keys)
    if isinstance(spec.options, TextOptions):
        from cluster.stage.models.text_program import open_text_program

        model = open_text_program(spec, spec.options, report, keys)
        return runner_of(spec, model, partial(open_spelling, spec, keys))
    return load_gguf(spec, report, keys)


def load_gguf(spec: StageSpec, report: OnProgress, keys: Keys | None = None) -> StageRunner:
    """The same, of layers of a GGUF."""
    model = open_gguf(spec, spec.gguf, report, keys)
    return runner_of(spec, model, partial(open_spelling, spec, keys))


def runner_of(spec: StageSpec, model: StageModel, spelling: Callable[[], Spelling] | None = None) -> StageRunner:
    """With our sampler behind the model, if it is the last. `spelling` is for grammars and breakers of repetitions."""
    if not model.is_last:
        return StageRunner(spec, model, None)
    compiled = CompiledGrammars(spelling, model.vocab_size)
    return StageRunner(spec, model, GrammarSampler(NativeSampler(spec, model.vocab_size, compiled.pieces), compiled))
