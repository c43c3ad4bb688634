"""What a model can be asked for: text, vectors or scores, and in what bounds. Pure."""

from __future__ import annotations

from cluster.api.embedding import Pooling
from cluster.api.errors import UnsupportedModelError, UsageError
from cluster.api.sampling import SamplingParams
from cluster.coordinator.spec import CoordinatorSpec, DraftModel
from cluster.engine.cost.tuning import AUTO_STREAMS
from cluster.engine.drafting.drafter import Drafter
from cluster.engine.drafting.lookup import LookupDrafter
from cluster.engine.limits import Limits, max_logits_rows, max_scored_rows
from cluster.engine.text.vocabulary import Vocabulary

_EMBEDDERS = "Qwen3-Embedding, EmbeddingGemma or nomic-embed-text"
_RANKERS = "Qwen3-Reranker, bge-reranker or jina-reranker"


def makes_text(spec: CoordinatorSpec) -> bool:
    """Whether the model gives next tokens."""
    return not spec.is_encoder and spec.pooling is not Pooling.RANK


def check_makes_text(spec: CoordinatorSpec) -> None:
    """UnsupportedModelError unless the model gives next tokens."""
    if not makes_text(spec):
        gives = "scores of documents" if spec.pooling is Pooling.RANK else "embeddings"
        raise UnsupportedModelError(f"generate: {spec.model} gives {gives}, no text; ask it for those")


def prompt_for(spec: CoordinatorSpec, token_ids: list[int], params: SamplingParams | None) -> list[int]:
    """What goes through the stages: of a model with an encoder and a decoder, the decoder's start token behind it.

    Whoever gives token ids may have it among them, and what the decoder is to begin with behind it. UsageError where
    nothing is left for the encoder, and for numbers of the encoder's tokens, which it does not predict.
    """
    if spec.decoder_start is None:
        return token_ids
    if params is None or params.prompt_logprobs is not None:
        raise UsageError(
            f"logits: {spec.model} has an encoder, which predicts no token of the prompt; ask for text only"
        )
    if not token_ids or token_ids[0] == spec.decoder_start:
        raise UsageError(f"prompt: nothing for the encoder of {spec.model} to read; give some text")
    return token_ids if spec.decoder_start in token_ids else [*token_ids, spec.decoder_start]


def takes_whole(spec: CoordinatorSpec) -> bool:
    """Whether a prompt goes into one microbatch."""
    return spec.is_encoder or spec.decoder_start is not None


def check_pictured(params: SamplingParams) -> None:
    """UsageError for what cannot be told of rows that are no tokens."""
    if params.prompt_logprobs is not None:
        raise UsageError("prompt_logprobs: rows of pictures have none; leave it out, or give a prompt without pictures")


def pooling_for(spec: CoordinatorSpec, asked: Pooling | None, num_tokens: int) -> Pooling:
    """How the vector of a text is made: as `asked`, or as the model says; of one that says nothing, a mean.

    UnsupportedModelError where the model does not give such vectors; UsageError for a text that is too long for an
    encoder.
    """
    if asked is Pooling.RANK and spec.pooling is not Pooling.RANK:
        raise UnsupportedModelError(
            f"rerank: {spec.model} gives no scores of documents; serve a model that does, such as {_RANKERS}"
        )
    if asked is not Pooling.RANK and spec.pooling is Pooling.RANK:
        raise UnsupportedModelError(f"embeddings: {spec.model} gives scores of documents only; ask for rerank")
    if spec.decoder_start is not None:
        raise UnsupportedModelError(f"embeddings: {spec.model} has an encoder and a decoder, and gives text only")
    if spec.pooling is None and not spec.embeds:
        raise UnsupportedModelError(
            f"embeddings: {spec.model} was made for text; serve a model for embeddings, such as {_EMBEDDERS}, or start "
            "the cluster with --embeddings"
        )
    if spec.is_encoder and num_tokens > (most := limits_of_encoder(spec)):
        raise UsageError(
            f"inputs: {num_tokens} tokens in one of them, but the model reads a text whole, of at most {most}; "
            "shorten it, or start the cluster with a larger --ubatch-size and --ctx-size"
        )
    return asked or spec.pooling or Pooling.MEAN


def drafter_for(spec: CoordinatorSpec) -> Drafter | None:
    """What guesses tokens ahead by the text alone; None where nothing does, or a model: see `draft_model_of`."""
    return LookupDrafter() if spec.draft not in ("off", "model") and can_draft(spec) else None


def draft_model_of(spec: CoordinatorSpec) -> DraftModel | None:
    """The model that guesses tokens ahead, if one does."""
    return spec.draft_model if spec.draft == "model" and can_draft(spec) else None


def can_draft(spec: CoordinatorSpec) -> bool:
    """Whether guesses could be checked: rows of wrong ones have to be taken back."""
    return makes_text(spec) and spec.can_truncate


def draft_state(spec: CoordinatorSpec) -> str:
    """How tokens are guessed ahead, for people: auto, ngram or off, and why it is off where that was not asked for.

    Of a model that guesses, see `ModelDrafter.state`.
    """
    if spec.draft == "off" or can_draft(spec):
        return spec.draft
    return "off: the model keeps running states, has an encoder, or makes no text"


def limits_of_encoder(spec: CoordinatorSpec) -> int:
    """The most tokens of a text that goes into one microbatch."""
    return min(spec.context_length, spec.ubatch_size)


def limits_of(spec: CoordinatorSpec, vocabulary: Vocabulary) -> Limits:
    """The bounds that the engine keeps."""
    max_in_flight = spec.num_stages + 1
    return Limits(
        num_slots=spec.num_slots,
        context_length=limits_of_encoder(spec) if takes_whole(spec) else spec.context_length,
        max_batch_tokens=spec.ubatch_size,
        num_stages=spec.num_stages,
        pipeline_prompts=spec.pipeline_prompts,
        can_truncate=spec.can_truncate and not spec.is_encoder,
        takes_whole=takes_whole(spec),
        max_waiting=spec.max_waiting,
        max_drafting=AUTO_STREAMS if spec.draft in ("auto", "model") else spec.num_slots,
        max_runs=min(spec.draft_runs or max_in_flight, max_in_flight),
        max_logits_rows=max_logits_rows(spec.ubatch_size, vocabulary.num_tokens),
        max_scored_rows=max_scored_rows(spec.ubatch_size, vocabulary.num_tokens),
    )
