"""One layer slice, its vocabulary and its devices, over unpatched libllama and libggml.

Every argument is checked before libllama sees it: a bad one raises ValueError (or TypeError), a failure of
libllama or of the device raises RuntimeError, and memory that cannot be had raises MemoryError. Messages have
the form ``what: why``. Nothing in here aborts the process on bad input. The GIL is released while loading and
computing. Objects are not thread-safe: one thread at a time may call into a Slice.

Shapes: T rows of a batch, E hidden width, V vocabulary size, R rows asked for.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

MAX_GAP: int  # a call of libllama skips at most so many slots between two single rows
ATTENTION_STEP: int  # libllama attends to the cache, and makes room in it, in steps of so many tokens
MAX_LAYERS: int  # a model has at most so many
MAX_SLOTS: int  # a slice has at most so many
MAX_SOURCES: int  # a step of a program has at most so many
LAST_WORDS_BYTES: int  # the size of the file of `keep_last_words`

class Device:
    """A ggml device of this process."""

    @property
    def name(self) -> str: ...  # "CPU", "CUDA0", ...
    @property
    def description(self) -> str: ...
    @property
    def kind(self) -> Literal["cpu", "gpu", "igpu", "accel"]: ...
    @property
    def memory_total_bytes(self) -> int: ...
    @property
    def memory_free_bytes(self) -> int: ...
    @property
    def id(self) -> str: ...  # the bus address of a card, or empty
    @property
    def backend(self) -> str: ...
    @property
    def capabilities(self) -> dict[str, bool]:
        """async, host_buffer, buffer_from_host_ptr and events."""
    @property
    def buffer_types(self) -> list[str]:
        """The default one first."""

def devices() -> list[Device]:
    """All devices ggml offers in this process, CPU included."""

def build() -> str:
    """The identity of the library, for the handshake: llama.cpp and ggml versions and the backends built in."""

def self_test(use_extra_bufts: bool = True) -> None:
    """Multiply a small quantised matrix on the CPU as a model would; raises RuntimeError on a wrong result.

    A miscompiled library may kill the process: call it in a child. `use_extra_bufts` selects the repacked
    (or AMX) weight layouts that model loading would select.
    """

def keep_last_words(path: str) -> None:
    """Keep in a new file at `path` what libllama says last, and the signal that ends this process if it can be caught:
    int32 signal (0: none), int32 weight, then text up to a NUL. RuntimeError if it cannot be made.
    """

def set_log(callback: Callable[[int, str], None] | None) -> None:
    """Send libllama's and ggml's log lines (level 1 debug .. 4 error, text) to `callback`; None drops them.

    The callback may run in any thread. An exception in it goes to `sys.unraisablehook`.
    """

class Needs:
    """The memory that a slice would take: the figures that a loaded `Slice` reports."""

    @property
    def weight_bytes(self) -> int: ...
    @property
    def kv_bytes(self) -> int: ...
    @property
    def compute_bytes(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...  # the file's: as wide are the rows of its output buffer

def measure(
    path: str,
    *,
    device: str = "CPU",
    n_ctx: int,
    n_slots: int,
    n_batch: int = 512,
    n_ubatch: int = 512,
    type_k: str = "f16",
    type_v: str = "f16",
    flash_attn: Literal["auto", "on", "off"] = "auto",
    use_extra_bufts: bool = True,
) -> Needs:
    """Let libllama plan the buffers of a `Slice` with these options, without allocating or reading weights.

    Only the header of `path` is read; the file must have its full length, behind the header it may be a hole.
    The header has to be validated, as for `Slice`; errors are the same, but memory is not looked at.
    """

class Vocab:
    """The tokenizer of a GGUF; loads no weights. Thread-safe."""

    def __init__(self, path: str) -> None: ...
    @property
    def num_tokens(self) -> int: ...
    @property
    def type(self) -> int: ...  # libllama's number
    @property
    def adds_bos(self) -> bool: ...
    @property
    def bos(self) -> int | None: ...
    @property
    def eos(self) -> int | None: ...
    @property
    def end_tokens(self) -> frozenset[int]: ...
    @property
    def special_tokens(self) -> frozenset[int]: ...  # control and unknown tokens
    def longest_token_bytes(self) -> int:
        """Most bytes of a text that one token stands for, names of control tokens among them."""

    def tokenize(
        self,
        text: str,
        add_special: bool = True,
        parse_special: bool = False,
        max_stack_bytes: int = ...,
    ) -> NDArray[np.int32]:
        """Token ids of a text. ValueError if the vocabulary cannot spell it, or would take minutes for it.

        libllama may recurse for each character. A long text gets a stack that has room for that, but not more than
        `max_stack_bytes` (default: as much as it takes): the process ends with SIGSEGV where that is too little.
        MemoryError if there is no room for the stack.
        """
    def tokenize_pieces(
        self, pieces: Sequence[tuple[str, bool]], add_special: bool = True, max_stack_bytes: int = ...
    ) -> NDArray[np.int32]:
        """As `tokenize`, of pieces (text, parse_special) one after the other; none is also a text.

        No token reaches over a seam. A vocabulary that puts a space before a text puts none where one goes on.
        """
    def token_kind(self, token: int) -> int:
        """What a token is for, as GGUF numbers it: normal 1, unknown 2, control 3, user-defined 4, unused 5, byte 6."""
    def token_bytes(self, token: int, render_special: bool = False) -> bytes:
        """Its bytes: none for a special token unless `render_special`. A character may span tokens."""

class SamplerParams:
    """How a `Sampler` draws the tokens of a slot. In range, or ValueError.

    First logit_bias is added, of which -inf bans a token; stop_token_ids are banned for the first min_tokens. Then the
    filters work in the order of `samplers`, or in `default_order` if that is empty: penalties, dry, top_n_sigma (0 or
    less is off), top_k (0), typ_p (1), top_p (1), min_p (0), xtc (probability 0), temperature, adaptive_p (target below
    0). Temperature 0 draws the largest logit, the first of equals, whatever else is cut off. Mirostat 1 or 2 takes the
    place of all that cuts off. repeat_last_n and dry_penalty_last_n count recent tokens, the prompt included: 0 is off,
    -1 the whole slot. `seed` is 0..2**64-1. `logprobs` is the length of `Sampled.top`.
    """

    names: ClassVar[tuple[str, ...]]
    default_order: ClassVar[tuple[str, ...]]

    def __init__(self, **params: Any) -> None:
        """Each of `names` must be given. Numbers are real or whole; lists are of strings, whole numbers or pairs."""

class Sampled:
    """One drawn token. Logprobs are natural, of the raw logits; `top` begins with the most probable.

    `error` says why nothing could be drawn from that row, and is empty otherwise.
    """

    @property
    def token(self) -> int: ...
    @property
    def logprob(self) -> float: ...
    @property
    def top(self) -> list[tuple[int, float]]: ...
    @property
    def error(self) -> str: ...

class Sampler:
    """Parameters and tokens of `n_slots` slots, each of at most `n_ctx` tokens, and what draws from rows of logits.

    Any last stage can use it: it knows nothing of how logits are made, and has to be told which tokens its slots
    hold. One thread at a time may be inside: others get RuntimeError.
    """

    def __init__(self, *, vocab_size: int, n_slots: int, n_ctx: int) -> None: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def n_slots(self) -> int: ...
    def name_tokens(self, pieces: Sequence[bytes]) -> None:
        """What each token adds to a text: without it, dry_sequence_breakers must be empty where `dry` is on."""
    def set(self, slot: int, params: SamplerParams, num_prompt_tokens: int = 0) -> None:
        """Lasts until `prepare_slot` empties the slot or copies into it.

        The slot's tokens behind `num_prompt_tokens` count as drawn. ValueError for a token that the vocabulary has not.
        """
    def keep(self, tokens: NDArray[np.int32], positions: NDArray[np.int32], slots: NDArray[np.int32]) -> None:
        """Note the tokens [T] of computed rows at their positions, in order: the penalties look at them.

        -1 is a row that is no token; nothing is penalised by it. A slot forgets what it held from a position on.
        ValueError, and nothing is kept, if a position lies behind the end of its slot.
        """
    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        """Make `slot` hold the first `length` tokens that `source` holds, as `Slice.prepare_slot` does."""
    def score(
        self, logits: NDArray[np.float32], rows: Sequence[int], tokens: Sequence[int], num_top: int
    ) -> list[Sampled]:
        """What the model thought of given tokens, each by one of `rows` of `logits`; `top` has `num_top` tokens."""
    def sample(
        self,
        logits: NDArray[np.float32],
        rows: Sequence[int],
        slots: Sequence[int],
        positions: Sequence[int],
        masks: Sequence[NDArray[np.int32] | None] = ...,
    ) -> list[Sampled]:
        """Draw a token from each of `rows` of `logits` [R, V], which are read where they lie (C-contiguous float32).

        It is what follows the token at that position of that slot; a slot may occur several times. A row whose logits
        are not finite, or allow no draw, has an `error` in place of a token; the others are drawn. A draw depends only
        on (the slot's parameters, position, logits, the slot's tokens up to there, its mask): repeated, it is equal.
        With Mirostat or adaptive-p it also depends on the draws at the positions before, as they were last made; where
        none was made, on what the newest before it left, or on nothing.

        `masks`, if any, are one for each row: None, or ceil(V / 32) words, whose bit `token % 32` of word `token // 32`
        says whether the token may be drawn. They change no logprob. ValueError if one has another size; a row of which
        no token may be drawn has an `error`.
        """

class Slice:
    """Layers [first, end) of a model on one device, with a KV cache of `n_slots` sequences of `n_ctx` tokens.

    The role of the slice (`first`, `end`, `num_layers`) is read from the file's `ggml_cluster.slice.*` keys;
    a file without them is a whole model. `progress` is called with 0..1 while loading; returning False
    cancels (RuntimeError). What it raises is raised here.

    The header must be one that was validated (as `ggml.gguf` does): the contradictions that libllama
    asserts are refused here only in part. Diffusion models are refused, and encoders
    unless they are made for embeddings and whole. Quantised KV types need
    heads that are multiples of their block; a quantised V needs flash attention. Sliding-window layers keep a
    full-size cache, so that `prepare_slot` is exact; recurrent and hybrid models keep a running
    state for each slot, which can only be kept or forgotten (`can_truncate` is False).

    A forward may embed (see there) where the file says how (`pooling_type`), on the last of several slices, and with
    `embeds`.

    `adapters`: LoRA adapters, each a GGUF in memory and its scale, with matrices for tensors of this file only, under
    the names that they have here. They must have been checked: libllama does not look at all of their shapes.

    With `use_mmap` weights are read from the file while it is computed: whoever writes to it changes what comes out,
    and whoever shortens it ends the process. Without, they are copied while it is loaded.

    weight_bytes is the size of the file's tensors; kv_bytes and compute_bytes are libllama's figures for the
    cache and for the graph's buffers on all devices (rows of logits not included).
    """

    def __init__(
        self,
        path: str,
        *,
        device: str = "CPU",
        n_ctx: int,
        n_slots: int,
        n_batch: int = 512,
        n_ubatch: int = 512,
        n_threads: int = 1,
        type_k: str = "f16",
        type_v: str = "f16",
        flash_attn: Literal["auto", "on", "off"] = "auto",
        use_extra_bufts: bool = True,
        use_mmap: bool = True,
        embeds: bool = False,
        adapters: Sequence[tuple[bytes, float]] = (),
        progress: Callable[[float], bool | None] | None = None,
    ) -> None: ...
    @property
    def first(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def num_layers(self) -> int: ...  # the whole model's
    @property
    def is_first(self) -> bool: ...
    @property
    def is_last(self) -> bool: ...
    @property
    def hidden_width(self) -> int: ...  # E: of a row between slices; several times the model's width in some
    @property
    def picture_width(self) -> int: ...  # of a row of a picture, with what the model's first layers add to it
    @property
    def picture_out_width(self) -> int: ...  # of the same row as it is returned
    @property
    def vocab_size(self) -> int: ...
    @property
    def embedding_width(self) -> int: ...  # of a row of `wanted_embeddings`: the model's width, or its number of scores
    @property
    def is_encoder(self) -> bool: ...  # remembers no tokens
    @property
    def can_truncate(self) -> bool: ...  # else a slot goes back to nothing only
    @property
    def n_ctx(self) -> int: ...  # tokens per slot
    @property
    def n_slots(self) -> int: ...
    @property
    def n_batch(self) -> int: ...
    @property
    def weight_bytes(self) -> int: ...
    @property
    def kv_bytes(self) -> int: ...
    @property
    def compute_bytes(self) -> int: ...
    def set_threads(self, n_threads: int) -> None:
        """Threads of the next forwards. Costs nothing if it is what was set before."""
    def set_scales(self, scales: Sequence[float]) -> None:
        """What the sums of the adapters are multiplied by in the next forwards, one number for each adapter.

        0 leaves an adapter out. Costs nothing if they are what was set before; else libllama plans its buffers anew.
        """
    def set_row_sizes(self, sizes: Sequence[int]) -> None:
        """How many rows a call with n rows, each of another slot, is to compute: sizes[n - 1], n..n_batch.

        The rows that are added go behind the last token of idle slots beside the n, and are removed after. Where
        there are not enough such slots, and beyond the list, n rows are computed. At first the list is empty.
        """
    def measure_rows(self, num_rows: int) -> float:
        """Milliseconds of one forward of made-up rows at position 0 of the slots [0, num_rows), logits wanted.

        These slots must be empty, and are so afterwards; row sizes are not applied and `timings` do not count it.
        The logits of earlier forwards can no longer be had.
        """
    def forward(
        self,
        tokens: NDArray[np.int32],  # [T], always given
        positions: NDArray[np.int32],  # [T]
        slots: NDArray[np.int32],  # [T]
        wants_logits: NDArray[np.bool_],  # [T]
        hidden: NDArray[np.float32] | None = None,  # [T, E]; the first slice can do without
        *,
        embeds: bool = False,
        pictures: Sequence[tuple[int, int, int, int]] = (),  # (slot, first row, width, height)
        non_causal: bool = False,
    ) -> NDArray[np.float32] | None:
        """Run one microbatch. Returns the hidden rows [T, E] (a fresh array), or None on the last slice.

        T is 1..n_batch. Rows of a slot must be consecutive and continue its sequence: position =
        slot_length(slot), growing by one. Arrays must be C-contiguous and of these very types. `hidden` is
        taken with NaN too: the rows of other slots stay what they are. After an error every slot of the
        microbatch is as it was before, or empty if it cannot be truncated. One thread at a time may be inside:
        others get RuntimeError.

        What the first slice is given as `hidden` are embeddings, such as those of a picture: its tokens are not looked
        up then. ValueError of a model that takes more than rows in the place of tokens.

        Where positions have sections (M-RoPE), every slice is told of which pictures these rows are: each slot has one
        of width * height rows, line by line, from that row of the slot on, and some or all of them are here. Tokens
        may follow once the slot has them all. `hidden` is [T, picture_width] then, and what is returned
        [T, picture_out_width].

        With `embeds` the wanted rows of the last slice are not logits: they are what is behind its last norm, with
        which the graph ends; of a model that ranks they are scores of the text up to there. An encoder embeds only,
        and takes all rows of a slot in one microbatch.

        With `non_causal` each row sees all of the microbatch, also those behind it, as far as llama_set_causal_attn
        lets it in this model: they are of one slot, and at most n_ubatch.
        """
    def check_microbatch(
        self,
        tokens: NDArray[np.int32],  # [T]
        positions: NDArray[np.int32],  # [T]
        slots: NDArray[np.int32],  # [T]
        wants_logits: NDArray[np.bool_],  # [T]
        *,
        embeds: bool = False,
        pictures: Sequence[tuple[int, int, int, int]] = (),
        non_causal: bool = False,
    ) -> None:
        """ValueError if `forward` would refuse these rows as they are."""
    def wanted_logits(self) -> NDArray[np.float32]:
        """[R, V] logits of all rows of the last forward that were flagged in wants_logits, in their order.

        No copy, and read-only. It stays what it is for as long as it is held: the next forward writes elsewhere then.
        """
    def wanted_embeddings(self) -> NDArray[np.float32]:
        """The same of a forward with `embeds`: [R, embedding_width]."""
    def logits(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """[R, V] logits of these rows of the last forward (each flagged in wants_logits), a copy."""
    def slot_length(self, slot: int) -> int: ...
    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        """Make `slot` hold exactly the first `length` tokens that `source` holds (0..its length).

        With source == slot it is cut; at length 0 it is freed. Otherwise it is freed first and
        `source` is copied: libllama copies whole slots, at the beginning of the next forward. Without
        `can_truncate`, ValueError for a length that is neither 0 nor that of `source`; nor may one be within a picture
        where positions have sections.
        """
    @property
    def timings(self) -> dict[str, float]:
        """Counts and milliseconds since the start: steps, rows, filler_rows, forward_ms.

        Filler rows are computed beside the rows of a microbatch, because that is faster, and never read.
        """
    def close(self) -> None:
        """Free everything; may be called again. Every method but this one raises ValueError afterwards."""

class Buffer:
    """Memory on a device that a tensor lies in: its own (uninitialised here), or that of an array it keeps alive."""

    def __init__(self, device: str, num_bytes: int) -> None: ...
    @property
    def num_bytes(self) -> int: ...
    def close(self) -> None:
        """Let go of the memory now. It is freed once no run and no view of it uses it. ValueError from then on."""
    @property
    def is_closed(self) -> bool: ...
    @property
    def is_viewed(self) -> bool:
        """Whether an array outside looks at the memory, or a run is under way that reads it."""
    @property
    def is_read_only(self) -> bool:
        """Whether it is borrowed memory that must not be written to: `write` and `copy_from` are ValueErrors."""
    @property
    def type_name(self) -> str: ...  # the name of ggml's buffer type
    @property
    def is_host(self) -> bool: ...
    @property
    def device(self) -> str: ...
    @property
    def data_ptr(self) -> int: ...
    def write(self, source: NDArray[np.uint8], offset: int = 0) -> None: ...
    def read(self, target: NDArray[np.uint8], offset: int = 0) -> None: ...
    def copy_from(self, source: Buffer) -> None:
        """All of `source`, which may lie on another device; the sizes must be equal."""
    def view(self, shape: list[int], code: int, bits: int, device_type: int, device_id: int) -> Any:
        """A row-major array over this memory that speaks DLPack: type code and bits, device as DLPack's."""

def pinned_buffer(for_device: str, num_bytes: int) -> Buffer:
    """Uninitialised memory of the CPU that the device reads fast; ValueError if it has none of the kind."""

def borrow_array(device: str, array: Any, is_read_only: bool = False) -> Buffer:
    """The memory that an array spans (DLPack or buffer protocol), from its lowest element to its highest.

    With `is_read_only` nothing is ever written to it, and its views are read-only.
    """

def describe_array(array: Any) -> tuple[int, int, tuple[int, ...], tuple[int, ...], int, tuple[int, int]]:
    """DLPack type code and bits, shape, strides (elements), elements below the first, (device type, id)."""

class ForkedError(RuntimeError):
    """A device, or a run that was under way, was used that belongs to the process that this one was forked from."""

class OccupiedError(RuntimeError):
    """An observer or a signal handler computes inside of the run that waits for it."""

class Graph:
    """A program as one ggml graph with a scheduler of its own.

    `program` holds, one after the other, for each step: name, ggml type, ne[4] (innermost first), number of
    sources, sources, number of parameters, parameters. A name is a place in `names`, which has the primitive and,
    where it has `kernels` to choose from, one of them behind a colon: "mul_mat", "map:add". A source is the number
    of an earlier step; a float parameter is the bits of a double. The program's inputs are its steps named "input".
    Outputs are numbers of steps that are neither inputs nor views. A program that ggml would refuse raises ValueError.
    """

    def __init__(
        self,
        device: str,
        names: Sequence[str],
        program: NDArray[np.int64],
        outputs: NDArray[np.int64],
        others: Sequence[str] = ...,
        pinned: Sequence[tuple[int, str]] = ...,
        is_plan: bool = False,
    ) -> None:
        """Steps may be pinned to `device`, to one of `others` or to the CPU. A plan is split, and cannot run."""
    @property
    def num_inputs(self) -> int: ...
    @property
    def num_threads(self) -> int:
        """Threads of the CPU that a run uses: 1 for a graph of small operations, else what `set_threads` said."""
    @property
    def num_nodes(self) -> int: ...
    @property
    def num_splits(self) -> int: ...
    @property
    def num_bytes(self) -> int: ...  # the size of intermediate results, on all devices
    @property
    def num_copies(self) -> int: ...
    def buffer_bytes(self) -> list[tuple[str, int]]:
        """Bytes of intermediate results by device; of a plan those it would take (empty: pins hide them)."""
    def nodes(self) -> list[tuple[int, str, int, tuple[int, ...], str, bool, list[int], list[int]]]:
        """Step, op, ggml type, shape, device, whether a view, steps of the sources, those of them that are copied."""
    def cancel(self) -> bool:
        """End the run that another thread is in: it raises InterruptedError. False if there is none."""
    def run(
        self, inputs: list[Buffer], observer: Callable[[int, bytes], object] | None = None, wanted: Sequence[int] = ...
    ) -> list[Buffer]:
        """Compute without the GIL. Inputs are read where they lie, outputs are new buffers. Thread-safe.

        An index outside its axis raises IndexError, an integer divided by zero ZeroDivisionError; both with
        arguments (message, number of the step). `observer` is called with the number and the elements of each
        wanted node, in this thread; what it raises ends the run. It must not compute.
        """
    def measure(self, inputs: list[Buffer], num_runs: int) -> float:
        """Mean seconds of one run of the ggml graph itself."""

def ggml_types() -> list[tuple[str, int, int, int, bool]]:
    """Name, number, elements of a block, bytes of a block, whether quantised."""

def primitive_names() -> list[str]: ...
def kernels(primitive: str) -> list[tuple[str, int, int]]:
    """Name, ggml type of the last source and of the result, for a primitive that has kernels to choose from ("map",
    "reduce", "sort" ...)."""

def pays_to_pack() -> bool:
    """Whether this CPU multiplies packed rows ("pack" and "multiply") faster than ggml multiplies rows."""

def set_threads(device: str, num_threads: int) -> None: ...
def add_rpc_server(endpoint: str) -> list[str]:
    """Connect to a ggml RPC server, `host:port`; the names of its devices. RuntimeError if it does not answer."""

def serve_rpc(endpoint: str, device: str = "CPU", num_threads: int = 1) -> None:
    """Serve a device at `host:port`. Returns only if it cannot listen."""

def row_types() -> list[int]:
    """The ggml types that `quantize_rows` writes: every quantised type that ggml reads back, f16 and bf16."""

def needs_importance(type: int) -> bool:
    """Whether rows of the type cannot be made without importance."""

def quantize_rows(
    type: int,
    source: NDArray[np.float32],
    importance: NDArray[np.float32] | None,
    target: NDArray[np.uint8],
    num_threads: int,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write the rows (R, C) of `source` as blocks of `type`, by ggml's own functions, in `num_threads` threads.

    `importance` (M, C): row i weighs the columns of rows i*R/M .. (i+1)*R/M. `progress` hears the number of rows
    that are done, some fifty times a second; an exception in it, or in a signal handler, ends the work.
    """

def dequantize_rows(
    type: int,
    source: NDArray[np.uint8],
    target: NDArray[np.float32],
    num_threads: int,
    progress: Callable[[int], object] | None = None,
) -> None:
    """The elements that blocks of `type` stand for. `progress` hears the number of blocks that are done."""

def check_blocks(type: int, source: NDArray[np.uint8]) -> None:
    """ValueError unless every block of `source` has finite scales."""

def model_file_types() -> list[tuple[str, int]]:
    """Name and number of each kind of file that `quantize_model` makes, large ones first."""

def quantize_model(
    source: str,
    target: str,
    *,
    file_type: int,
    num_threads: int,
    allow_requantize: bool = False,
    quantize_output: bool = True,
    pure: bool = False,
    dry_run: bool = False,
    output_type: int | None = None,
    embedding_type: int | None = None,
    tensor_types: Sequence[tuple[str, int]] = ...,
    importance: Sequence[tuple[str, NDArray[np.float32]]] = ...,
    texts: Sequence[tuple[str, str]] = ...,
    numbers: Sequence[tuple[str, int]] = ...,
) -> None:
    """Quantise a model file by libllama's rules; each tensor is one line to `set_log`. RuntimeError has libllama's
    own line, which may begin with that of the tensor it was at.

    What libllama asserts of a file ends the process: call it in a child. `tensor_types` are (regular
    expression, type); `texts` and `numbers` are metadata to add.
    """
