"""Messages over a connected Unix socket, each behind its length: four bytes, little-endian."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from cluster.api.errors import CapacityError, UnreachableError, UsageError
from cluster.wire.limits import MAX_MESSAGE_BYTES

MAX_QUEUED_FRAMES = 4096  # a reader that lags by so many has stopped; it is cut off rather than filling our memory
SEND_BUFFER_BYTES = 1 << 20  # the system may give less; what does not fit leaves in a thread of its own
_LENGTH_BYTES = 4
_READ_BYTES = 64 << 10
_FILE = b"\0"  # a file cannot come without a byte


class Frames:
    """One end. `send` may be called by any thread, `messages` or `take` by one; `close` by any, and again.

    Most messages leave within the call that sends them: a thread between would cost more than the way itself.
    """

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(True)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._socket = connected
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._unsent: deque[bytes] = deque()
        self._sender: threading.Thread | None = None
        self._is_closed = False
        self._unread = b""
        self.is_over = False  # whoever reads has come to the end

    def fileno(self) -> int:
        """For whoever polls before `take`."""
        return self._socket.fileno()

    def send(self, data: bytes, most_waiting: int = MAX_QUEUED_FRAMES) -> None:
        """Never waits. UnreachableError once the other end is gone; CapacityError if `most_waiting` are unsent."""
        frame = len(data).to_bytes(_LENGTH_BYTES, "little") + data
        with self._lock:
            if self._is_closed:
                raise UnreachableError("the other end is gone")
            if self._unsent:
                if len(self._unsent) >= most_waiting:
                    raise CapacityError(f"more than {most_waiting} messages were waiting; read them faster")
                self._unsent.append(frame)
                return
            num_sent = self._send_now(frame)
            if num_sent < len(frame):
                self._unsent.append(frame[num_sent:])
                self._wake_sender()

    def wait_for_room(self, most_waiting: int, timeout_s: float) -> bool:
        """Whether fewer than so many are unsent, or it is closed, within the time."""
        with self._lock:
            return self._room.wait_for(lambda: self._is_closed or len(self._unsent) < most_waiting, timeout_s)

    def flush(self, timeout_s: float) -> None:
        """Until nothing is unsent, or the time is over."""
        self.wait_for_room(1, timeout_s)

    def messages(self) -> Iterator[bytes]:
        """Until the other end is gone, or it is closed. UsageError for what is no message."""
        while not self.is_over:
            yield from self._whole()
            self._receive(socket.MSG_WAITALL if _missing(self._unread) > _READ_BYTES else 0)

    def take(self) -> list[bytes]:
        """Those that have come by now, whole; `is_over` at the end of all. UsageError for what is no message."""
        self._receive(socket.MSG_DONTWAIT)
        return list(self._whole())

    def wait(self, timeout_s: float) -> bool:
        """Whether something has come, or the other end has gone, within the time."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(timeout_s * 1e3))

    def send_file(self, file: int) -> None:
        """Before all messages. UnreachableError once the other end is gone."""
        try:
            socket.send_fds(self._socket, [_FILE], [file])
        except OSError as error:
            raise UnreachableError(f"the other end is gone: {error.strerror}") from error

    def receive_file(self, timeout_s: float) -> int:
        """What `send_file` sends, of this process now. UsageError where something else comes, UnreachableError."""
        self._socket.settimeout(timeout_s)
        try:
            data, files, _, _ = socket.recv_fds(self._socket, len(_FILE), 1)
        except OSError as error:
            raise UnreachableError(f"no file came through the socket: {error}") from error
        finally:
            self._socket.settimeout(None)
        if data == _FILE and len(files) == 1:
            return files[0]
        for one in files:
            os.close(one)
        raise UsageError("frame: something else came where a file was announced")

    def close(self) -> None:
        """Both directions end, at both ends; what is unsent is dropped."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._unsent.clear()
            self._room.notify_all()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who reads or sends

    def free(self) -> None:
        """Closed, and its file given back: nobody reads or sends any more."""
        self.close()
        if self._sender is not None:
            self._sender.join()
        self._socket.close()

    def _send_now(self, frame: bytes) -> int:
        """How much of it left without waiting."""
        try:
            return self._socket.send(frame, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise UnreachableError(f"the other end is gone: {error.strerror}") from error

    def _wake_sender(self) -> None:
        """With the lock."""
        if self._sender is None:
            self._sender = threading.Thread(target=self._send_rest, name="wire-local", daemon=True)
            self._sender.start()
        else:
            self._room.notify_all()

    def _send_rest(self) -> None:
        while True:
            with self._lock:
                self._room.wait_for(lambda: self._is_closed or bool(self._unsent))
                if self._is_closed:
                    return
                frame = self._unsent[0]  # it stays there until it has left: those behind it must wait
            try:
                self._socket.sendall(frame, socket.MSG_NOSIGNAL)
            except OSError:
                self.close()
                return
            with self._lock:
                if self._unsent:
                    self._unsent.popleft()
                self._room.notify_all()

    def _whole(self) -> Iterator[bytes]:
        """What has been received of whole messages."""
        while not _missing(self._unread):
            end = _LENGTH_BYTES + _length(self._unread)
            data, self._unread = self._unread[_LENGTH_BYTES:end], self._unread[end:]
            yield data

    def _receive(self, flags: int) -> None:
        """More, if there is more. All that a long message lacks at once: it is not put together again and again."""
        missing = _missing(self._unread)
        try:
            more = self._socket.recv(missing if missing > _READ_BYTES else _READ_BYTES, flags)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if more:
            self._unread = self._unread + more if self._unread else more
        else:
            self.is_over = True


def _length(unread: bytes) -> int:
    return int.from_bytes(unread[:_LENGTH_BYTES], "little")


def _missing(unread: bytes) -> int:
    """How many bytes the first message lacks. UsageError if it is too long to be one."""
    if len(unread) < _LENGTH_BYTES:
        return _LENGTH_BYTES - len(unread)
    length = _length(unread)
    if length > MAX_MESSAGE_BYTES:
        raise UsageError(f"frame: {length} bytes; at most {MAX_MESSAGE_BYTES} are a message")
    return max(0, _LENGTH_BYTES + length - len(unread))
