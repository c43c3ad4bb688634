"""The plan of whatever is asked for: a model that libllama computes, or a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from cluster.config import ClusterConfig
from cluster.cutting.model import Model
from cluster.planning.drafts import Beside, check_draft_model, plan_draft
from cluster.planning.former import Former
from cluster.planning.inventory import Inventory, check_asked, inventory_of
from cluster.planning.model_plan import ModelPlan, plan_survey
from cluster.planning.nodes import Nodes, Surveyed, ThisMachine
from cluster.planning.room import check_room
from cluster.planning.vocabulary import check_vocabulary
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve

if TYPE_CHECKING:
    from cluster.planning.programs.inventory import ProgramInventory

AnyInventory: TypeAlias = "Inventory | ProgramInventory"


def check_any(config: ClusterConfig) -> None:
    """Whatever can be found wrong with the model and the settings without looking at any machine."""
    opened = open_model(resolve(config.model))
    if isinstance(opened.model, Model):
        check_asked(config, opened)
    else:
        from cluster.planning.programs.inventory import check_program_asked

        check_program_asked(config, opened, opened.model)
    check_draft_model(config, opened.model, opened.name)


def plan_model(
    config: ClusterConfig,
    bounds: Sequence[int] = (),
    nodes: Nodes | None = None,
    devices: Sequence[str] = (),
    former: Former | None = None,
) -> ModelPlan:
    """Check the model and the nodes, by default this machine alone, and place the layers.

    `bounds`: where the slices of a cluster that lives begin, and the end of the last; the memory that is free
    now says nothing about those. () places them anew.
    `devices`: those of that cluster's plan, where it has several nodes: its stages stay where they are.
    `former`: where its layers were, if it has lost some of those devices: as many as can be stay there.

    Raises UsageError (ModelFileError, UnsupportedModelError among them) for what cannot be, CapacityError for
    what does not fit. Nothing has been started by then.
    """
    if devices:
        config = replace(config, stages=None, devices=tuple(devices))
    surveyed = Surveyed(nodes or ThisMachine())
    draft = plan_draft(config, surveyed)
    found = take_any(config, surveyed if draft is None else Beside(surveyed, draft))
    check_draft_model(config, found.model, found.source.display_name)
    if isinstance(found, Inventory):
        check_vocabulary(found.model, found.source.shown_name)
        plan = plan_survey(found, bounds, former)
    else:
        from cluster.planning.programs.plan import plan_program

        plan = plan_program(found, bounds)
    check_room(found, found.model, plan.bounds)
    return plan if draft is None else replace(plan, coordinator=draft.coordinator(plan.coordinator))


def take_any(config: ClusterConfig, nodes: Nodes | None = None) -> AnyInventory:
    """What the plan starts from, whose type says what is asked for. The model is opened once, here.

    Errors as for `take_inventory` and `program_inventory`.
    """
    source = resolve(config.model)
    opened = open_model(source)
    if isinstance(opened.model, Model):
        return inventory_of(config, source, opened, nodes)
    from cluster.planning.programs.inventory import program_inventory  # all operations take a while to import

    return program_inventory(config, source, opened, opened.model, nodes)
