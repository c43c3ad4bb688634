"""Native graphs that were built, kept for the next plan with the same key."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from ggml.core.devices import Device
from ggml.core.forking import renew_after_fork
from ggml.graph.executable import Executable, compile_plan, misplaced, out_of_memory
from ggml.graph.plan import Plan
from worker_native import ForkedError, OccupiedError

_MAX_GRAPHS = 256


_MAX_BYTES = 256 << 20


class GraphCache:
    """Programs by key, the least recently used dropped first. Thread-safe."""

    def __init__(self) -> None:
        self._programs: OrderedDict[Hashable, Executable] = OrderedDict()
        self._num_bytes = 0
        renew_after_fork(self)

    def renew_lock(self) -> None:
        self._lock = threading.RLock()  # a signal handler may come in at any time

    def program(self, todo: Plan, device: Device) -> Executable:
        with self._lock:
            found = self._programs.get(todo.key)
            if found is not None:
                self._programs.move_to_end(todo.key)
                return found
        try:
            built = compile_plan(todo, device)
        except MemoryError as error:
            raise out_of_memory(error, device) from None
        except (ForkedError, OccupiedError) as error:
            raise misplaced(error) from None
        with self._lock:
            self._keep(todo.key, built)
        return built

    def _keep(self, key: Hashable, built: Executable) -> None:
        if key in self._programs:
            return
        self._programs[key] = built
        self._num_bytes += built.graph.num_bytes
        while len(self._programs) > _MAX_GRAPHS or (self._num_bytes > _MAX_BYTES and len(self._programs) > 1):
            _, dropped = self._programs.popitem(last=False)
            self._num_bytes -= dropped.graph.num_bytes

    def clear(self) -> None:
        with self._lock:
            self._programs.clear()
            self._num_bytes = 0

    def usage(self, native: str) -> tuple[int, int]:
        """How many graphs of a device, by ggml's name of it, are kept, and the bytes of their intermediate results."""
        with self._lock:
            # The first part of a plan's key is the device.
            found = [one for key, one in self._programs.items() if isinstance(key, tuple) and key[0] == native]
        return len(found), sum(one.graph.num_bytes for one in found)

    def __len__(self) -> int:
        return len(self._programs)


CACHE = GraphCache()
