"""The model that drafts, as the planner has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.coordinator.drafting.drafter import ModelDrafter
from cluster.coordinator.spec import DRAFT_ROWS, DraftModel
from cluster.sources.stored import stored_slice
from cluster.wire.access.keys import Keys


def model_drafter(model: DraftModel, vocab_size: int, keys: Keys, wake: Callable[[], None]) -> ModelDrafter:
    """It fetches and loads once it is started. `vocab_size`: of the model that it drafts for. `keys`: of this node."""

    def options() -> dict[str, Any]:
        file = stored_slice(model.source, model.model_hash, 0, model.num_layers, lambda phase, share: None, keys)
        return {
            "path": str(file.path),
            "device": model.device,
            "n_ctx": model.context_length,
            "n_slots": model.num_slots,
            "n_batch": DRAFT_ROWS,
            "n_ubatch": DRAFT_ROWS,
            "n_threads": model.num_threads,
            "use_extra_bufts": model.use_extra_bufts,
            "use_mmap": bool(file.key),  # a file of the user's own may be written to
        }

    return ModelDrafter(model.name, vocab_size, model.num_slots, model.context_length, options, wake=wake)
