"""A small model that guesses the tokens of the one that is served: whether it can, and what it takes.

Tokens are numbers here, of both models: they have to mean the same, all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cluster.api.embedding import Pooling
from cluster.api.errors import CapacityError, UsageError
from cluster.config import ClusterConfig
from cluster.coordinator.spec import DRAFT_ROWS, AnySpec, CoordinatorSpec, DraftModel
from cluster.cutting.model import Model
from cluster.cutting.servable import Servable
from cluster.cutting.sizes import trained_context
from cluster.engine.cost.tuning import AUTO_STREAMS
from cluster.planning.inventory import DEFAULT_CONTEXT_LENGTH
from cluster.planning.measure.dry_run import Context, DryRun
from cluster.planning.nodes import Nodes, Taken
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from ggml.gguf.value import MetadataArray, MetadataValue
from ggml.tokenizers.keys import TOKENS, tokenizer_keys

_TYPES = "tokenizer.ggml.token_type"
_SPECIAL = {"BOS": "tokenizer.ggml.bos_token_id", "EOS": "tokenizer.ggml.eos_token_id"}
_LEAVE = "give a smaller model of the same family, or leave --draft out"


@dataclass(frozen=True, slots=True)
class DraftPlan:
    """The model that drafts, and the bytes that it takes of its device."""

    model: DraftModel
    node: str
    num_bytes: int

    def coordinator(self, spec: AnySpec) -> AnySpec:
        """The same spec, with this model. `check_draft_model` has refused programs and models without text."""
        assert isinstance(spec, CoordinatorSpec), "it makes text"
        length = min(self.model.context_length, spec.context_length)
        return replace(spec, draft_model=replace(self.model, context_length=length))


class Beside(Taken):
    """Nodes as they are once the model that drafts has its memory. Implements `Nodes`."""

    def __init__(self, nodes: Nodes, draft: DraftPlan) -> None:
        super().__init__(nodes, draft.node, draft.model.device, draft.num_bytes)


def check_draft_model(config: ClusterConfig, target: Servable, name: str) -> None:
    """UsageError, which says what differs, where `config.draft` names a model that cannot draft for `target`."""
    if config.draft_model is not None:
        opened = open_model(resolve(config.draft_model))
        check_pair(target, name, opened.gguf, opened.name)


def check_pair(target: Servable, name: str, draft: Model, draft_name: str) -> None:
    """UsageError unless `draft` can guess the tokens of `target`; the names are for people."""
    refused = f"draft: {draft_name}: "
    if not _makes_text(target):
        raise UsageError(f"draft: {name} makes no text, of which tokens could be guessed; leave --draft out")
    if draft.row.is_encoder:
        raise UsageError(f"{refused}it is an encoder, and guesses no tokens; {_LEAVE}")
    if draft.row.encodes_prompt:
        raise UsageError(f"{refused}it has an encoder, which reads prompts and goes on with none; {_LEAVE}")
    if not draft.can_truncate:
        raise UsageError(f"{refused}it keeps running states, so that it cannot go back behind a wrong guess; {_LEAVE}")
    differs = what_differs(tokenizer_keys(target.header.metadata), tokenizer_keys(draft.header.metadata))
    if differs:
        raise UsageError(f"{refused}its vocabulary is not that of {name}: {differs}; {_LEAVE}")


def what_differs(one: Mapping[str, MetadataValue], other: Mapping[str, MetadataValue]) -> str:
    """What is not the same in the second vocabulary, for people; "" where all tokens are."""
    texts, other_texts = _texts(one), _texts(other)
    if len(texts) != len(other_texts):
        return f"{len(other_texts)} tokens, not {len(texts)}"
    for token, (text, other_text) in enumerate(zip(texts, other_texts, strict=True)):
        if text != other_text:
            return f"token {token} is {_shown(other_text)}, not {_shown(text)}"
    types, other_types = _numbers(one), _numbers(other)
    if types != other_types:
        token = next((t for t, (a, b) in enumerate(zip(types, other_types, strict=False)) if a != b), -1)
        return f"token {token} has another type" if token >= 0 else "only one of both says the types of its tokens"
    for label, key in _SPECIAL.items():
        token_id, other_id = (keys[key].value if key in keys else None for keys in (one, other))
        if token_id != other_id:
            return f"its {label} token is {other_id}, not {token_id}"
    return ""


def plan_draft(config: ClusterConfig, nodes: Nodes) -> DraftPlan | None:
    """What `config.draft` names, on the head; None where it is no model.

    UsageError where there is no such device, CapacityError where it does not fit; errors as for `open_model`.
    """
    if config.draft_model is None:
        return None
    source = resolve(config.draft_model)
    opened = open_model(source)
    model, head = opened.gguf, nodes.facts[0]
    device = head.device(config.draft_device)
    if device is None:
        known = ", ".join(one.name for one in head.probe.devices)
        raise UsageError(f"draft-device: no {config.draft_device!a} on {head.name}; there are {known}")
    most = trained_context(model)
    context = Context(
        n_ctx=min(most, most if config.ctx_size == 0 else config.ctx_size or DEFAULT_CONTEXT_LENGTH),
        n_slots=min(AUTO_STREAMS, config.parallel),
        n_ubatch=DRAFT_ROWS,
        type_k="f16",
        type_v="f16",
        flash_attn="auto",
        use_extra_bufts=head.probe.use_extra_bufts,
    )
    with DryRun(model) as dry_run:
        needs = dry_run.measure(0, model.num_layers, device.name, context).total_bytes
    usable = int(device.memory_free_bytes * (1 - config.headroom))
    if needs > usable:
        raise CapacityError(
            f"draft: {opened.name} needs {needs / 2**20:,.1f} MiB, {head.name}/{device.name} has "
            f"{usable / 2**20:,.1f} MiB for it; {_LEAVE}"
        )
    drafting = DraftModel(
        source=source,
        model_hash=opened.hash,
        num_layers=model.num_layers,
        device=device.name,
        num_threads=config.threads or max(1, head.num_cores // 2),
        context_length=context.n_ctx,
        num_slots=context.n_slots,
        use_extra_bufts=context.use_extra_bufts,
    )
    return DraftPlan(drafting, head.name, needs)


def _makes_text(target: Servable) -> bool:
    if isinstance(target, Model):
        return not target.row.is_encoder and target.pooling is not Pooling.RANK
    return target.text is not None


def _texts(keys: Mapping[str, MetadataValue]) -> list[bytes]:
    found = keys[TOKENS].value if TOKENS in keys else None
    return found.strings() if isinstance(found, MetadataArray) else []


def _numbers(keys: Mapping[str, MetadataValue]) -> list[int]:
    found = keys[_TYPES].value if _TYPES in keys else None
    numbers: list[int] = found.numbers().tolist() if isinstance(found, MetadataArray) else []
    return numbers


def _shown(text: bytes) -> str:
    return ascii(text.decode(errors="replace")[:40])
