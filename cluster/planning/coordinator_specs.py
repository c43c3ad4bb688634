"""What the coordinator of a model that makes text is told, whatever computes that."""

from __future__ import annotations

from cluster.api.errors import UsageError
from cluster.config import DRAFTS
from cluster.coordinator.spec import CoordinatorSpec
from cluster.cutting.servable import Servable
from cluster.planning.survey import Survey


def text_coordinator(
    found: Survey, model: Servable, *, context_length: int, row_bytes: int, can_truncate: bool, plan: str
) -> CoordinatorSpec:
    """Of a model that is asked for text and for nothing else. `plan`: why its layers, or units, are where they are.

    UsageError where tokens are to be guessed ahead of one that cannot take them back.
    """
    config = found.config
    if config.draft not in ("off", "auto") and not can_truncate:
        why = "has an encoder" if model.architecture == "t5" else "keeps running states"
        raise UsageError(
            f"draft: {found.source.display_name} ({model.architecture}) {why}, so that wrong guesses "
            "could not be taken back; leave --draft out"
        )
    return CoordinatorSpec(
        model=found.source.display_name,
        source=found.source,
        model_hash=found.model_hash,
        architecture=model.architecture,
        context_length=context_length,
        num_slots=config.parallel,
        num_stages=len(found.devices),
        ubatch_size=config.ubatch_size,
        max_waiting=config.max_waiting,
        pipeline_prompts=config.pipeline_prompts,
        host=config.host,
        port=config.port,
        can_truncate=can_truncate,
        draft=config.draft if config.draft in DRAFTS else "model",
        draft_runs=config.draft_runs,
        local_sockets=config.local_sockets,
        patience_s=config.patience_s,
        keeps_requests=config.journal and config.patience_s > 0,
        row_bytes=row_bytes,
        plan=plan,
        num_parameters=model.header.num_parameters,
        weight_bytes=model.header.weight_bytes,
    )
