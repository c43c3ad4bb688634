"""One layer slice, its vocabulary and its devices, over unpatched libllama and libggml.

Every argument is checked before libllama sees it: a bad one raises ValueError (or TypeError), a failure of
libllama or of the device raises RuntimeError, and memory that cannot be had raises MemoryError. Messages have
the form ``what: why``. Nothing in here aborts the process on bad input. The GIL is released while loading and
computing. Objects are not thread-safe: one thread at a time may call into a Slice.

Shapes: T rows of a batch, E hidden width, V vocabulary size, R rows asked for.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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

def devices() -> list[Device]:
    """All devices ggml offers in this process, CPU included."""

def build() -> str:
    """What the library is, for the handshake: llama.cpp and ggml versions and the backends built in."""

def self_test(use_extra_bufts: bool = True) -> None:
    """Multiply a small quantised matrix on the CPU as a model would; raises RuntimeError on a wrong result.

    A miscompiled library may kill the process: call it in a child. `use_extra_bufts` selects the repacked
    (or AMX) weight layouts that model loading would select.
    """

def set_log(callback: Callable[[int, str], None] | None) -> None:
    """Send libllama's and ggml's log lines (level 1 debug .. 4 error, text) to `callback`; None drops them.

    The callback may run in any thread. An exception in it goes to `sys.unraisablehook`.
    """

class Vocab:
    """The tokenizer of a GGUF; loads no weights. Thread-safe."""

    def __init__(self, path: str) -> None: ...
    @property
    def num_tokens(self) -> int: ...
    @property
    def bos(self) -> int | None: ...
    @property
    def eos(self) -> int | None: ...
    @property
    def end_tokens(self) -> frozenset[int]: ...
    @property
    def special_tokens(self) -> frozenset[int]: ...  # control and unknown tokens
    def tokenize(self, text: str, add_special: bool = True, parse_special: bool = False) -> NDArray[np.int32]: ...
    def token_bytes(self, token: int, render_special: bool = False) -> bytes:
        """Its bytes: none for a special token unless `render_special`. A character may span tokens."""

class SamplerParams:
    """What `Slice.sample` draws by. Finite and in range, or ValueError.

    Applied in this order: penalties, top_k (0 is off), top_p (1 is off), min_p (0 is off), temperature (0
    draws the largest logit, the first of equals). repeat_last_n counts recent tokens, the prompt included: 0
    is no penalties, -1 the whole slot. `seed` is 0..2**64-1. `logprobs` is the length of `Sampled.top`.
    """

    def __init__(
        self,
        *,
        temperature: float,
        top_k: int,
        top_p: float,
        min_p: float,
        seed: int,
        repeat_penalty: float,
        repeat_last_n: int,
        presence_penalty: float,
        frequency_penalty: float,
        logprobs: int,
    ) -> None: ...

class Sampled:
    """One drawn token. Logprobs are natural, of the raw logits; `top` begins with the most probable."""

    @property
    def row(self) -> int: ...
    @property
    def slot(self) -> int: ...
    @property
    def token(self) -> int: ...
    @property
    def logprob(self) -> float: ...
    @property
    def top(self) -> list[tuple[int, float]]: ...

class Slice:
    """Layers [first, end) of a model on one device, with a KV cache of `n_slots` sequences of `n_ctx` tokens.

    The role of the slice (`first`, `end`, `num_layers`) is read from the file's `ggml_cluster.slice.*` keys;
    a file without them is a whole model. `progress` is called with 0..1 while loading; returning False
    cancels (RuntimeError). What it raises is raised here.

    The header must be one that was validated (as `cluster.gguf` does): the contradictions that libllama
    asserts are refused here only in part. Recurrent, hybrid and encoder models are refused. Quantised KV
    types need heads that are multiples of their block; a quantised V needs flash attention. Sliding-window
    layers keep a full-size cache, so that `truncate` and `copy_slot` are exact.

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
        progress: Callable[[float], bool | None] | None = None,
    ) -> None: ...
    @property
    def first(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def num_layers(self) -> int: ...  # of the whole model
    @property
    def is_first(self) -> bool: ...
    @property
    def is_last(self) -> bool: ...
    @property
    def hidden_width(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
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
    def set_threads(self, n_threads: int) -> None: ...
    def forward(
        self,
        tokens: NDArray[np.int32],  # [T], always given: later stages keep them for the penalties
        positions: NDArray[np.int32],  # [T]
        slots: NDArray[np.int32],  # [T]
        wants_logits: NDArray[np.bool_],  # [T]
        hidden: NDArray[np.float32] | None = None,  # [T, E] on all but the first slice
    ) -> NDArray[np.float32] | None:
        """Run one microbatch. Returns the hidden rows [T, E] (a fresh array), or None on the last slice.

        T is 1..n_batch. Rows of a slot must be consecutive and continue its sequence: position =
        slot_length(slot), growing by one. Arrays must be C-contiguous and of these very types. `hidden` is
        not searched for NaN; `sample` refuses logits that are not finite. After an error the KV of every slot
        of the microbatch is as it was before. One thread at a time may be inside: others get RuntimeError.
        """
    def sample(self, rows: Sequence[int]) -> list[Sampled]:
        """Draw one token for each of these rows of the last forward, with each slot's SamplerParams.

        The draw depends only on (seed, position, logits, the slot's recent tokens): repeated, it is equal.
        """
    def logits(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """[R, V] logits of these rows of the last forward (each flagged in wants_logits), a copy."""
    def set_sampler(self, slot: int, params: SamplerParams) -> None:
        """Only on the last slice. Lasts until `free_slot`."""
    def slot_length(self, slot: int) -> int: ...
    def free_slot(self, slot: int) -> None:
        """Forget the slot's tokens and its sampler."""
    def truncate(self, slot: int, position: int) -> None:
        """Forget everything at `position` and after."""
    def copy_slot(self, source: int, target: int, end: int) -> None:
        """Make `target` (which must be empty) share the first `end` tokens of `source`."""
    @property
    def timings(self) -> dict[str, float]:
        """Counts and milliseconds since the start: steps, rows, forward_ms, sample_ms."""
    def close(self) -> None:
        """Free everything; may be called again. Every method but this one raises ValueError afterwards."""

class Buffer:
    """Memory on a device that a tensor lies in: its own (uninitialised here), or that of an array it keeps alive."""

    def __init__(self, device: str, num_bytes: int) -> None: ...
    @property
    def num_bytes(self) -> int: ...
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

def borrow_array(device: str, array: Any) -> Buffer:
    """The memory that an array spans (DLPack or buffer protocol), from its lowest element to its highest."""

def describe_array(array: Any) -> tuple[int, int, tuple[int, ...], tuple[int, ...], int, tuple[int, int]]:
    """DLPack type code and bits, shape, strides (elements), elements below the first, (device type, id)."""

class Graph:
    """A program as one ggml graph with a scheduler of its own.

    `program` holds, one after the other, for each step: code, ggml type, ne[4] (innermost first), number of
    sources, sources, number of parameters, parameters. A source is the number of an earlier step; a float
    parameter is the bits of a double. Codes are places in `primitive_names()`; code 0 is an input. Outputs are
    numbers of steps that are neither inputs nor views. A program that ggml would refuse raises ValueError.
    """

    def __init__(self, device: str, program: NDArray[np.int64], outputs: NDArray[np.int64]) -> None: ...
    @property
    def num_inputs(self) -> int: ...
    @property
    def num_nodes(self) -> int: ...
    @property
    def num_splits(self) -> int: ...
    @property
    def num_bytes(self) -> int: ...  # of intermediate results, on all devices
    def run(self, inputs: list[Buffer]) -> list[Buffer]:
        """Compute without the GIL. Inputs are read where they lie, outputs are new buffers. Thread-safe.

        An index outside its axis raises IndexError, an integer divided by zero ZeroDivisionError; both with
        arguments (message, number of the step).
        """
    def measure(self, inputs: list[Buffer], num_runs: int) -> float:
        """Mean seconds of one run of the ggml graph itself."""

def ggml_types() -> list[tuple[str, int, int, int, bool]]:
    """Name, number, elements of a block, bytes of a block, whether quantised."""

def primitive_names() -> list[str]: ...
def kernels(family: str) -> list[tuple[str, int, int]]:
    """Name, ggml type of the last source and of the result, for "map", "reduce", "scan" or "sort"."""

def set_threads(device: str, num_threads: int) -> None: ...
