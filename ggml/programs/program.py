"""A program that runs: its graph, its weights, and a native graph for each shape it was called with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from ggml.core import autocast
from ggml.core.devices import CPU, Device, placing
from ggml.core.devices import device as device_named
from ggml.core.errors import ArgumentError, StateDictError, UnsupportedOpError
from ggml.gguf.ours import PROGRAM
from ggml.gguf.value import MetadataValue
from ggml.io.reading import path_of
from ggml.io.writing import write
from ggml.programs.binding import as_input, bind
from ggml.programs.coverage import Coverage, coverage
from ggml.programs.decoding import decode
from ggml.programs.encoding import encode
from ggml.programs.graph import KEY, Graph, Ref, Role, TensorSpec
from ggml.programs.recordings.recorded import Recordings
from ggml.programs.recordings.recording import recorded
from ggml.programs.recordings.storing import with_recordings
from ggml.programs.references import KEY as WEIGHTS
from ggml.programs.references import Reference
from ggml.programs.states import States
from ggml.programs.trees import flatten, unflatten
from ggml.programs.walking import walk
from ggml.programs.writing import first_element, writes_in_place, written
from ggml.tensors.compiled import compile
from ggml.tensors.tensor import Tensor
from ggml.tokenizers.reading import read_tokenizer


class Program:
    """What ``ggml.export.lower`` makes of a model, and ``ggml.load_program`` reads from a file.

    A call takes what the model took, as tensors of ggml or of torch or as arrays, and gives tensors of ggml in the
    form that the model gave. Each new shape is recorded once; then a call is one native call. Buffers that the model
    changes are kept in ``state`` between calls, so that two threads must not call such a program at once; rows that a
    call writes into one of them go into its own memory.
    """

    def __init__(
        self,
        graph: Graph,
        tensors: Mapping[str, Tensor],
        recordings: Recordings | None = None,
        reference: Reference | None = None,
        tokenizer: Mapping[str, MetadataValue] = MappingProxyType({}),
    ) -> None:
        """``tensors`` has one for each weight and each state of the graph, as exported or quantised; StateDictError
        says where it does not. ``recordings`` are of this graph; ``reference`` says which weights another file has;
        ``tokenizer`` has the keys of the model's vocabulary, if it makes text."""
        self.graph = graph
        self.tokenizer = tokenizer
        self._reference = reference
        self._there = {name: tensors[name] for name in reference.tensors if name in tensors} if reference else {}
        self.recordings = recordings or Recordings()
        wanted = {one.name: one.spec for one in graph.held}
        missing, unexpected = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
        misfits = [
            f"{name}: {tensors[name].dtype} {tuple(tensors[name].shape)} instead of {spec.dtype} {spec.shape}"
            for name, spec in wanted.items()
            if spec is not None and name in tensors and not _fits(tensors[name], spec)
        ]
        if missing or unexpected or misfits:
            raise StateDictError("program", missing, unexpected, misfits, True)
        states = {one.name for one in graph.inputs if one.role is Role.STATE}
        self.weights = {name: tensor for name, tensor in tensors.items() if name not in states}
        self.state = States({name: tensors[name] for name in states})
        self._writes = writes_in_place(graph)
        self._written = {
            one.name
            for one in graph.outputs
            if one.role is Role.STATE and isinstance(one.value, Ref) and one.value.value in self._writes
        }
        self._varying = [one for one in graph.inputs if one.role is not Role.WEIGHT]
        self._users = graph.users
        self._device = next((tensor.device for tensor in tensors.values()), CPU)
        self._run = compile(self._walk)

    @property
    def device(self) -> Device:
        """Where the weights and the states lie, and where calls compute. The CPU for a program that has none."""
        return self._device

    def to(self, device: Device | str) -> Program:
        """The program on another device, its states as they are now; itself if it is there. Inputs may lie anywhere:
        they are copied there, and results lie there."""
        place = device_named(device)
        if place == self._device:
            return self
        tensors = {**self.weights, **self.state.first()}
        there = {name: one.to_device(place) for name, one in tensors.items()}
        moved = Program(self.graph, there, self.recordings, tokenizer=self.tokenizer)
        moved._device = place
        for name, tensor in self.state.all().items():
            moved.state.put(name, tensor.to_device(place))
        return moved

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The model's results. ShapeMismatchError, DTypeError or ArgumentError for what it was not exported for;
        UnsupportedOpError where an operation is missing, which ``coverage`` tells before."""
        return unflatten(self.graph.out_tree, iter(self.run(self._given(args, kwargs))))

    def run(self, users: Sequence[Any], named: Mapping[int, int] = MappingProxyType({})) -> list[Any]:
        """The results in order, of what users gave in order; ``named`` has symbols that are known otherwise."""
        given, symbols = self._bound(users, named, self._written)
        results = self._run(given, symbols)
        outputs = list(zip(self.graph.outputs, results, strict=True))
        for output, result in outputs:
            if output.role is Role.STATE and output.name not in self._written:
                self.state.put(output.name, result)
        return [result for output, result in outputs if output.role is Role.USER]

    def record(self, *args: Any, **kwargs: Any) -> None:
        """Keep the native graph for arguments of these shapes, so that files have it: they then run where there is no
        Python, by ``ggml-run`` and the library beside it. Nothing is computed. Errors as those of a call.
        """
        given, symbols = self._bound(self._given(args, kwargs), {}, ())
        memory = self.recordings.memory
        one = recorded(
            lambda inputs: self._walk(inputs, symbols),
            self.graph, self._varying, given, self.weights, memory, self._written,
        )  # fmt: skip
        self.recordings.add(one)

    def save(self, path: Any, *, embed: bool = True, tokenizer: Any = None) -> None:
        """Write a ``.ggp`` file: a GGUF file with the tensors, as they are now, the graph in its header, and what was
        recorded.

        ``tokenizer`` is the path of a GGUF file or of a ``tokenizer.json`` (which needs the package tokenizers): the
        program's file then has that vocabulary and its chat template, so that a language model can be asked in words,
        by ``ggml.generate`` and by a cluster. Without it the file has the one that the program was loaded with.

        With ``embed=False`` the weights that were mapped from a GGUF file stay there: this file says where it lies, its
        size and its hash, which ``ggml.load_program`` compares. ArgumentError where there are none, or there are
        recordings, which need the weights beside them.

        The file appears when it is complete. ArgumentError for a graph larger than a header may be, FileFormatError
        for one that could not be read again, such as one with missing operations, and for a tokenizer that cannot be
        used; OSError where a file cannot be read or written.
        """
        name, graph = path_of("save", path), encode(self.graph)
        decode(graph, name)
        if tokenizer is not None:
            self.tokenizer = read_tokenizer(path_of("save", tokenizer))
        tensors = {**self.weights, **self.state.all()}
        if embed:
            tensors, extra = with_recordings(tensors, self.recordings)
        else:
            there = self._referenced()
            tensors = {name: tensor for name, tensor in tensors.items() if name not in there.tensors}
            extra = {WEIGHTS: there.encode(name)}
        write(name, tensors, PROGRAM, {KEY: graph, **extra, **self.tokenizer})

    def _referenced(self) -> Reference:
        """The weights that are still those of another file."""
        names = [name for name, tensor in self._there.items() if self.weights.get(name) is tensor]
        if self._reference is None or not names:
            raise ArgumentError("save", "embed", "must be True: no weight is mapped from a GGUF file")
        if self.recordings:
            raise ArgumentError("save", "embed", "must be True: recordings need the weights in the same file")
        return Reference(self._reference.path, {name: self._reference.tensors[name] for name in names})

    def reset(self) -> None:
        """Give every buffer that calls change the value it had at first."""
        self.state.reset()

    def coverage(self) -> Coverage:
        """Each operation, how many nodes of it there are, where they run, and why one cannot."""
        return coverage(self.graph)

    def forget(self) -> None:
        """Drop the native graphs of all shapes, and the memory of their intermediate results. Files keep what was
        recorded for them."""
        self._run.reset()

    @property
    def num_recordings(self) -> int:
        """How many shapes have a native graph."""
        return self._run.num_recordings

    def _given(self, args: Any, kwargs: Any) -> list[Any]:
        """What users gave, in the order of their inputs."""
        leaves = flatten(self.graph.in_tree, (args, kwargs), "arguments")
        return [as_input(leaf, one) for leaf, one in zip(leaves, self._users, strict=True)]

    def _bound(
        self, users: Sequence[Any], named: Mapping[int, int], written: Collection[str]
    ) -> tuple[list[Any], tuple[int, ...]]:
        """What varies between calls, users' inputs and states, and the extents that it brings. States that are
        ``written`` to are in memory of their own."""
        found = iter(users)
        given = [
            self._placed(next(found)) if one.role is Role.USER else self.state.read(one.name) for one in self._varying
        ]
        symbols = bind(self.graph, self._varying, given, named)
        for place, one in enumerate(self._varying):
            if one.name in written and one.role is Role.STATE:
                given[place] = self.state.writable(one.name)
        return given, symbols

    def _placed(self, given: Any) -> Any:
        return given.to_device(self._device) if isinstance(given, Tensor) else given

    def _walk(self, varying: list[Any], symbols: tuple[int, ...]) -> list[Any]:
        """The graph on placeholders, once for each shape. Weights are read where they lie.

        States that rows are written to change where they lie: their results are one element each, so that the write
        is a part of the native graph even if nothing else reads it."""
        makers = {value: partial(written, write) for value, write in self._writes.items()}
        # A program computes in the dtypes that it was exported with, also within a block of mixed precision.
        with placing(self._device), autocast.within(()):
            results = walk(self.graph, self._inputs(varying), symbols, makers)
        return [
            first_element(result) if output.role is Role.STATE and output.name in self._written else result
            for output, result in zip(self.graph.outputs, results, strict=True)
        ]

    def _inputs(self, varying: list[Any]) -> list[Any]:
        given = iter(varying)
        return [self.weights[one.name] if one.role is Role.WEIGHT else next(given) for one in self.graph.inputs]

    def __repr__(self) -> str:
        users = [one.name for one in self.graph.users]
        count = sum(tensor.numel() for tensor in self.weights.values())
        return f"Program({', '.join(users)}): {len(self.graph.nodes)} operations, {count} weights"


def _fits(tensor: Tensor, spec: TensorSpec) -> bool:
    return tuple(tensor.shape) == spec.shape and (tensor.dtype is spec.dtype or tensor.dtype.is_quantized)


def require_ggml(found: Coverage) -> None:
    """UnsupportedOpError with every operation that is missing, unless there is none."""
    if found.missing:
        raise missing_from(found, "lower", "require=None runs them in torch")


def missing_from(found: Coverage, op: str, why: str) -> UnsupportedOpError:
    """The error that lists every operation that is missing."""
    lines = [f"{row.op} ({row.count}): {row.why}" for row in found.missing]
    return UnsupportedOpError(op, "ggml", "these operations are missing:\n    " + "\n    ".join(lines) + f"\n  {why}")
