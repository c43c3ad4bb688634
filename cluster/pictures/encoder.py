"""PictureEncoder: pictures in, rows out, from a process beside this one; those that were seen of late are kept."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cluster.api.errors import ClusterError, UnsupportedModelError, UsageError
from cluster.messages.pictures import Grid, PicturedPrompt, PictureRows, stand_ins
from cluster.node.child import Child
from cluster.pictures.formats import check_picture
from cluster.pictures.parts import Part, PartRows, num_tokens
from cluster.pictures.projector import Projector

LOAD_TIMEOUT_S = 300.0
# An encoder of 300 million weights takes 10 s for a picture on two cores.
ENCODE_TIMEOUT_S = 300.0
KEPT_BYTES = 256 << 20  # of rows: a chat brings its pictures with every turn
# mtmd as others build it hands bytes that it cannot read to ffmpeg: that is not to be found.
ENVIRONMENT = {"PATH": "/nonexistent"}


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPicture:
    """What a prompt has in the place of a picture."""

    name: bytes  # of its bytes, and of nothing else
    parts: tuple[Part, ...]

    @property
    def num_tokens(self) -> int:
        """How long it makes a prompt."""
        return sum(map(num_tokens, self.parts))

    @property
    def num_bytes(self) -> int:
        return sum(part.rows.nbytes for part in self.parts if isinstance(part, PartRows))


class PictureEncoder:
    """For any thread; one picture is encoded at a time. Close it."""

    def __init__(self, projector: Projector, vocabulary: Path, num_threads: int) -> None:
        """Load both files in a process of its own. UnsupportedModelError, UsageError says why that cannot be."""
        self._projector = projector
        self._vocabulary = vocabulary
        self._num_threads = num_threads
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, EncodedPicture] = OrderedDict()  # longest unused first
        self._memory = os.memfd_create("ggml-cluster-picture")
        self._child: Child | None = None
        try:
            self._child = self._started()
        except ClusterError as error:
            os.close(self._memory)
            reason = f"mmproj: {projector.path}: {str(error).removeprefix('mmproj: ')}"
            raise (UnsupportedModelError if "not served" in reason else UsageError)(reason) from error

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        return None if self._child is None else self._child.pid

    def encode(self, picture: bytes, field: str) -> EncodedPicture:
        """Blocks until it is done. UsageError, which names `field`, for what is no picture, is too large, or ends the
        process that decodes it; ClusterError where that process cannot be had."""
        check_picture(picture, field)
        name = hashlib.sha256(picture).digest()
        with self._lock:
            found = self._kept.get(name)
            if found is None:
                found = EncodedPicture(name, self._encoded(picture, field))
                self._kept[name] = found
                self._forget_some()
            self._kept.move_to_end(name)
            return found

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()
            if self._memory >= 0:
                os.close(self._memory)
                self._memory = -1

    def _encoded(self, picture: bytes, field: str) -> tuple[Part, ...]:
        child = self._child = self._child or self._started()
        os.ftruncate(self._memory, 0)
        os.pwrite(self._memory, picture, 0)
        try:
            answer = child.ask({"num_bytes": len(picture)}, ENCODE_TIMEOUT_S)
        except ClusterError as error:
            self._end()  # the next picture has another one
            raise UsageError(f"{field}: the process that decodes pictures was lost with this one: {error}") from error
        if "refused" in answer:
            raise UsageError(f"{field}: {answer['refused']}")
        parts: list[Part] = []
        at, width = 0, self._projector.row_width
        for part in answer["parts"]:
            if isinstance(part, list):
                parts.append(tuple(part))
                continue
            rows = np.frombuffer(os.pread(self._memory, 4 * part["num_rows"] * width, at), np.float32)
            grid = Grid(*part["grid"]) if part["grid"] else None
            parts.append(PartRows(rows.reshape(part["num_rows"], width), grid, part["non_causal"]))
            at += rows.nbytes
        os.ftruncate(self._memory, 0)
        return tuple(parts)

    def _started(self) -> Child:
        numbers = (self._projector.row_width, self._num_threads, self._memory)
        child = Child(
            "cluster.pictures.encoder_child",
            self._projector.path,
            str(self._vocabulary),
            *map(str, numbers),
            pass_files=(self._memory,),
            environment=ENVIRONMENT,
        )
        try:
            child.read(LOAD_TIMEOUT_S)
        except BaseException:
            child.close()
            raise
        return child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _forget_some(self) -> None:
        while len(self._kept) > 1 and sum(one.num_bytes for one in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)


def joined(pieces: Sequence[Sequence[int] | EncodedPicture]) -> PicturedPrompt:
    """One prompt of token ids and pictures, in their order."""
    token_ids: list[int] = []
    pictures: list[PictureRows] = []
    for piece in pieces:
        if not isinstance(piece, EncodedPicture):
            token_ids += piece
            continue
        num_rows = 0
        for part in piece.parts:
            if not isinstance(part, PartRows):
                token_ids += part
                continue
            pictures.append(PictureRows(len(token_ids), part.rows, part.grid, part.non_causal))
            end = num_rows + part.num_tokens
            token_ids += stand_ins(piece.name, end)[num_rows:]
            num_rows = end
    return PicturedPrompt(tuple(token_ids), tuple(pictures))
