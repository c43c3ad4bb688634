"""A program that makes text: the same rows through its slices, and through all of it at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cluster.node.disk import temporary_folder
from cluster.planning.programs.inventory import ProgramInventory
from cluster.planning.programs.plan import plan_program
from cluster.stage.spec import StageSpec
from cluster.verify.compare import Comparison, compare_logits
from cluster.verify.rows import Rows
from cluster.verify.run import split_rows
from cluster.verify.steps import Step, make_steps


@dataclass(frozen=True, slots=True)
class TextVerification:
    """What came out: the split, beside the whole program."""

    stages: tuple[StageSpec, ...]
    steps: tuple[Step, ...]
    split: Rows
    comparison: Comparison


def verify_text(found: ProgramInventory, bounds: tuple[int, ...], note: Callable[[str], None]) -> TextVerification:
    """Compute a prompt, single tokens and two slots at once both ways. Arguments and errors as for `verify_program`."""
    assert found.model.text is not None
    plan = plan_program(found, bounds)
    alone = replace(plan.stages[0], stage=0, num_stages=1, first=0, end=found.model.num_layers)
    vocab_size = found.model.text.vocab_size
    steps = make_steps(vocab_size, found.context_length, found.num_slots, found.config.ubatch_size)
    with temporary_folder("ggml-cluster-verify-") as folder:
        split = split_rows(plan.stages, steps, folder, note)
        whole = split_rows([alone], steps, folder, note)
    assert whole.logits is not None
    assert split.logits is not None
    return TextVerification(plan.stages, steps, split, compare_logits("the whole program", whole.logits, split.logits))
