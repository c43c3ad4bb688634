"""Bounds on everything that comes off the wire, and the checks that name the field that breaks one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from cluster.api.errors import UsageError

MAX_MESSAGE_BYTES = 16 << 20  # gRPC's limit on every channel and server of ours
PART_BYTES = 4 << 20  # longer arrays are split: the receiver copies one part while the next one travels
MAX_ROWS = 16384
MAX_SLOTS = 1024  # so that sampling parameters for all of them fit in one message
MAX_STAGES = 256
MAX_LAYERS = 4096
MAX_HIDDEN_WIDTH = 1 << 18
MAX_VOCAB = 1 << 20  # so that a row of logits fits in a part
MAX_CONTEXT = 1 << 26
MAX_MICROBATCHES = 4096
MAX_LOGITS_BYTES = 2 << 30  # one step's result
MAX_COUNT = (1 << 63) - 1  # epochs, steps, bytes, nanoseconds
MAX_INT32 = (1 << 31) - 1
MAX_NAME_CHARS = 256
MAX_REASON_CHARS = 4096
MAX_PROMPT_BYTES = 4 << 20
MAX_PROMPT_TOKENS = 1 << 20
MAX_SEGMENTS = 1 << 16  # of one prompt
MAX_TEXT_BYTES = 8 << 20  # one reply
MAX_REQUESTS = 2048  # in one call
MAX_INTERVALS = 1 << 16
MAX_TEMPLATES = 16  # chat templates of one model
MAX_TEMPLATE_CHARS = 1 << 20  # a longer one is cut behind one character more, and is of no use
MAX_METADATA = 1024  # keys of a GGUF that clients are told
MAX_METADATA_CHARS = 4096  # longer values are cut
MAX_MODEL_BYTES = 128 << 20  # all facts of a model, or all its tokens
MAX_PART_TOKENS = 1 << 15  # tokens in one message
MAX_ARRAYS = 1024  # of one call of a program
MAX_RANK = 8  # axes of one of them
MAX_SYMBOLS = 1024  # extents that differ between calls
MAX_CALL_BYTES = 2 << 30  # all arrays that a call takes, or gives

AnyMessage = TypeVar("AnyMessage", bound=Message)


def parse(kind: type[AnyMessage], data: bytes) -> AnyMessage:
    """The message of type `kind` in `data`; UsageError if there is none."""
    try:
        return kind.FromString(data)
    except (DecodeError, ValueError) as error:
        raise UsageError(
            f"{kind.DESCRIPTOR.name}: {len(data)} bytes that are not such a message; "
            "run the same version of ggml-cluster on both ends"
        ) from error


def check_range(field: str, value: int, low: int, high: int) -> int:
    """`value`, if it is in [low, high] (both ends included)."""
    if not low <= value <= high:
        raise UsageError(f"{field}: {value} is out of range; it must be from {low} to {high}")
    return value


def check_ranges(field: str, values: Sequence[int], low: int, high: int) -> None:
    """`check_range` of each; UsageError names the first that is out of range."""
    if values and not low <= min(values) <= max(values) <= high:
        for value in values:
            check_range(field, value, low, high)


def check_length(field: str, sized: Any, high: int) -> None:
    """Refuses more than `high` characters, bytes or items."""
    if len(sized) > high:
        raise UsageError(f"{field}: length {len(sized)} is over the limit; it must be at most {high}")


def fit_text(text: str) -> str:
    """A text for people, cut to what the other end accepts, and valid Unicode."""
    return text[:MAX_REASON_CHARS].encode("utf-8", "replace").decode()


def check_name(field: str, text: str) -> str:
    check_length(field, text, MAX_NAME_CHARS)
    return text
