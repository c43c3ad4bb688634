"""The plan of whatever is asked for: a model that libllama computes, or a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cluster.config import ClusterConfig
from cluster.cutting.model import Model
from cluster.planning.inventory import check_asked, inventory_of
from cluster.planning.model_plan import ModelPlan, plan_survey
from cluster.planning.nodes import Nodes
from cluster.planning.room import check_room
from cluster.planning.vocabulary import check_vocabulary
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.source import ModelSource
from cluster.store.opened import OpenModel

if TYPE_CHECKING:
    from cluster.planning.programs.inventory import ProgramInventory
    from cluster.planning.programs.report import ProgramReport


def is_program(config: ClusterConfig) -> bool:
    """Whether what is asked for is a program, whose plans are of another kind."""
    return not isinstance(open_model(resolve(config.model)).model, Model)


def check_any(config: ClusterConfig) -> None:
    """Whatever can be found wrong with the model and the settings without looking at any machine."""
    opened = open_model(resolve(config.model))
    if isinstance(opened.model, Model):
        check_asked(config, opened)
        return
    from cluster.planning.programs.inventory import check_program_asked

    check_program_asked(config, opened, opened.model)


def plan_model(
    config: ClusterConfig, bounds: Sequence[int] = (), nodes: Nodes | None = None, devices: Sequence[str] = ()
) -> ModelPlan:
    """Check the model and the nodes, by default this machine alone, and place the layers.

    `bounds`: where the slices of a cluster that lives begin, and the end of the last; the memory that is free
    now says nothing about those. () places them anew.
    `devices`: those of that cluster's plan, where it has several nodes: its stages stay where they are.

    Raises UsageError (ModelFileError, UnsupportedModelError among them) for what cannot be, CapacityError for
    what does not fit. Nothing has been started by then.
    """
    if devices:
        config = replace(config, stages=None, devices=tuple(devices))
    source = resolve(config.model)
    opened = open_model(source)
    if isinstance(opened.model, Model):
        found = inventory_of(config, source, opened, nodes)
        check_vocabulary(found.model, source.shown_name)
        plan = plan_survey(found, bounds)
        check_room(found, found.model, plan.bounds)
        return plan
    from cluster.planning.programs.plan import plan_program

    program = inventory_of_program(config, source, opened, nodes)
    plan = plan_program(program, bounds)
    check_room(program, program.model, plan.bounds)
    return plan


def inventory_of_program(
    config: ClusterConfig, source: ModelSource, opened: OpenModel, nodes: Nodes | None
) -> ProgramInventory:
    """What a plan for a program starts from. All operations of ggml take a while to import, so only now."""
    from cluster.planning.programs.inventory import program_inventory

    assert not isinstance(opened.model, Model), "a program"
    return program_inventory(config, source, opened, opened.model, nodes)


def report_of_program(config: ClusterConfig, nodes: Nodes | None) -> ProgramReport | None:
    """What a plan says of a program; None of another model."""
    source = resolve(config.model)
    opened = open_model(source)
    if isinstance(opened.model, Model):
        return None
    from cluster.planning.programs.report import report_program

    return report_program(inventory_of_program(config, source, opened, nodes))
