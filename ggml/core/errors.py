"""Every error that ``ggml`` raises on purpose. Each is also the built-in exception a caller would expect.

    GgmlError (RuntimeError)
    ├── ShapeMismatchError (ValueError)     expected, got, op
    ├── RankError (ValueError)              rank, limit, op
    ├── DTypeError (TypeError)              expected, got, op
    ├── ArgumentError (ValueError)          op, argument
    ├── DimensionError (IndexError)         dim, rank, op
    ├── IndexOutOfRangeError (IndexError)   op
    ├── DivisionByZeroError (ZeroDivisionError)
    ├── DeviceMismatchError (ValueError)    devices, op
    ├── OutOfMemoryError (MemoryError)      requested, available, device
    ├── UnsupportedOpError (TypeError)      op, backend, hint
    ├── LinAlgError (ValueError)            op
    ├── TracingError (TypeError)            op
    ├── GradientError (ValueError)          op
    ├── FileFormatError (ValueError)        path, field
    ├── ModuleError (AttributeError)
    ├── StateDictError (ValueError)         module, missing_keys, unexpected_keys, errors
    ├── ClosedTensorError (ValueError)      op
    ├── ForkedProcessError (ValueError)     op, device
    ├── WorkerError (ChildProcessError)     worker, pid, exitcode
    └── CancelledError (InterruptedError)

PyTorch raises RuntimeError for most of these, so code that catches it keeps working. Messages have the form
``op: what: why``; sizes are in bytes. Errors can be pickled and copied, and keep their fields, so that they travel
between processes.
"""

from __future__ import annotations

import pickle
from typing import Any


class GgmlError(RuntimeError):
    """Root of the tree."""

    def __reduce__(self) -> Any:
        return _restored, (type(self), self.args), {name: _portable(value) for name, value in vars(self).items()}


def _restored(kind: type[GgmlError], args: tuple[Any, ...]) -> GgmlError:
    """An error from its pickle. Its class takes fields, and ``args`` holds the message that it made of them."""
    maker: Any = OSError if issubclass(kind, OSError) else kind
    error: GgmlError = maker.__new__(kind, *args)
    error.args = args
    return error


def _portable(value: Any) -> Any:
    """The value, or how it is shown where it cannot travel: the error must arrive in any case."""
    try:
        pickle.dumps(value)
    except Exception:  # whatever a foreign object raises
        return str(value)
    return value


class ShapeMismatchError(GgmlError, ValueError):
    """Shapes that do not fit together. ``expected`` is the rule in words or a shape, ``got`` the shapes."""

    def __init__(self, op: str, expected: object, got: object) -> None:
        super().__init__(f"{op}: got {got}; expected {expected}")
        self.op, self.expected, self.got = op, expected, got


class RankError(GgmlError, ValueError):
    """More axes than a tensor may have."""

    def __init__(self, op: str, rank: int, limit: int) -> None:
        super().__init__(f"{op}: {rank} axes; at most {limit} are possible")
        self.op, self.rank, self.limit = op, rank, limit


class DTypeError(GgmlError, TypeError):
    """An element type that the operation does not take."""

    def __init__(self, op: str, expected: object, got: object) -> None:
        super().__init__(f"{op}: got {got}; expected {expected}")
        self.op, self.expected, self.got = op, expected, got


class ArgumentError(GgmlError, ValueError):
    """An argument that is not a tensor and is out of range or of no use."""

    def __init__(self, op: str, argument: str, why: str) -> None:
        super().__init__(f"{op}: {argument} {why}")
        self.op, self.argument = op, argument


class DimensionError(GgmlError, IndexError):
    """An axis that the tensor does not have."""

    def __init__(self, op: str, dim: int, rank: int) -> None:
        low, high = -max(rank, 1), max(rank, 1) - 1
        super().__init__(f"{op}: dim {dim} is outside [{low}, {high}]")
        self.op, self.dim, self.rank = op, dim, rank


class IndexOutOfRangeError(GgmlError, IndexError):
    """An index, in the arguments or in the data, that lies outside its axis."""

    def __init__(self, op: str, why: str) -> None:
        super().__init__(f"{op}: {why}")
        self.op = op


class DivisionByZeroError(GgmlError, ZeroDivisionError):
    """An integer was divided by zero."""

    def __init__(self, op: str) -> None:
        super().__init__(f"{op}: integer division or modulo by zero")
        self.op = op


class DeviceMismatchError(GgmlError, ValueError):
    """Tensors of one operation lie on different devices."""

    def __init__(self, op: str, devices: tuple[str, ...]) -> None:
        super().__init__(f"{op}: tensors lie on {' and '.join(devices)}; move them with .to(device)")
        self.op, self.devices = op, devices


class OutOfMemoryError(GgmlError, MemoryError):
    """Memory that the device does not have. Sizes in bytes; 0 where it is not known."""

    def __init__(self, requested: int, available: int, device: str, why: str = "") -> None:
        super().__init__(f"{device}: {why or f'{requested} bytes were asked for'}; {available} bytes are available")
        self.requested, self.available, self.device = requested, available, device


class UnsupportedOpError(GgmlError, TypeError):
    """What the backend, or this library, cannot do. ``hint`` says what does the same."""

    def __init__(self, op: str, backend: str, hint: str) -> None:
        super().__init__(f"{op}: not available on {backend}; {hint}")
        self.op, self.backend, self.hint = op, backend, hint


class LinAlgError(GgmlError, ValueError):
    """Matrices that have no such result: singular, not positive-definite, or not finite."""

    def __init__(self, op: str, why: str) -> None:
        super().__init__(f"{op}: {why}")
        self.op = op


class TracingError(GgmlError, TypeError):
    """A value was asked for while a function is traced, when there are no values yet."""

    def __init__(self, op: str, why: str = "") -> None:
        super().__init__(f"{op}: {why or 'there are no values while a function is compiled; keep this outside of it'}")
        self.op = op


class GradientError(GgmlError, ValueError):
    """A gradient that cannot be had: nothing requires it, the tape was let go of, or what it needs was changed."""

    def __init__(self, op: str, why: str) -> None:
        super().__init__(f"{op}: {why}")
        self.op = op


class ModuleError(GgmlError, AttributeError):
    """A module that lacks what is asked of it: an attribute, a forward, or the call of ``Module.__init__``."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class StateDictError(GgmlError, ValueError):
    """A state dict that does not fit a module, which is left as it was. ``errors`` has a line for each misfit."""

    def __init__(self, module: str, missing: list[str], unexpected: list[str], errors: list[str], strict: bool) -> None:
        lines = list(errors)
        if strict and missing:
            lines.append(f"missing keys: {', '.join(missing)}")
        if strict and unexpected:
            lines.append(f"unexpected keys: {', '.join(unexpected)}")
        super().__init__(f"{module}: the state dict does not fit:\n    " + "\n    ".join(lines))
        self.module, self.missing_keys, self.unexpected_keys, self.errors = module, missing, unexpected, errors


class FileFormatError(GgmlError, ValueError):
    """A file that is not what it should be: cut short, of another format, or contradicting itself."""

    def __init__(self, path: str, field: str, why: str) -> None:
        super().__init__(f"{path}: {field}: {why}")
        self.path, self.field = path, field


class ClosedTensorError(GgmlError, ValueError):
    """A tensor is used whose memory was let go of: its arena ended, or its buffer was closed."""

    def __init__(self, op: str) -> None:
        super().__init__(
            f"{op}: the tensor's memory was freed; keep it with Arena.keep, or make it outside of the arena"
        )
        self.op = op


class ForkedProcessError(GgmlError, ValueError):
    """What belongs to the process that this one was forked from: a device other than the CPU, or a run under way."""

    def __init__(self, op: str, device: str, why: str) -> None:
        super().__init__(f"{op}: {device}: {why}")
        self.op, self.device = op, device


class WorkerError(GgmlError, ChildProcessError):
    """A process that fetches batches died or did not answer. ``exitcode`` is None while it runs, as Python has it."""

    def __init__(self, worker: int, pid: int | None, exitcode: int | None, why: str) -> None:
        super().__init__(f"DataLoader worker {worker} (pid {pid}): {why}")
        self.worker, self.pid, self.exitcode = worker, pid, exitcode


class CancelledError(GgmlError, InterruptedError):
    """Another thread cancelled the run."""

    def __init__(self) -> None:
        super().__init__("the run was cancelled")
