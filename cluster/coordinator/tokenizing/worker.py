"""A worker: tokenises the texts of one lane. It may die of any of them, and then its parent forks another."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import socket
import sys

from cluster.api.prompt import Segments
from cluster.coordinator.tokenizing.lane import REPLY, REQUEST, LaneEnd, Outcome
from cluster.coordinator.tokenizing.packed import unpack
from cluster.node.child import die_with_parent
from worker_native import Vocab

# For a run of letters of about 700 KB, with the pre-tokenizers that recurse for each; see `Vocab.tokenize`.
MAX_STACK_BYTES = 256 << 20
# What a worker may take beyond what it has when it begins: a text of 4 MiB takes 200 MiB.
MAX_GROWTH_BYTES = MAX_STACK_BYTES + (1 << 30)
# After a text of so many bytes, what the C library keeps for the next one is given back to the system.
TRIM_TEXT_BYTES = 256 << 10


def work(vocab: Vocab, end: LaneEnd, niceness: int) -> None:
    """Serve until the coordinator closes its end."""
    die_with_parent()
    os.nice(niceness)
    for sign in (signal.SIGPROF, signal.SIGTERM):
        signal.signal(sign, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    _limit_process()
    connection = socket.socket(fileno=end.socket)
    libc = ctypes.CDLL(None)
    while request := connection.recv(REQUEST.size):
        number, num_bytes, num_segments, add_special, cpu_s = REQUEST.unpack(request)
        if not cpu_s:
            connection.send(REPLY.pack(number, Outcome.TOKENS, 0))
            continue
        segments = unpack(os.pread(end.memory, num_bytes, 0), num_segments)
        signal.setitimer(signal.ITIMER_PROF, cpu_s)  # at its end the system ends this process
        outcome, content = tokenized(vocab, segments, add_special)
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.pwrite(end.memory, content, 0)
        connection.send(REPLY.pack(number, outcome, len(content) // (4 if outcome is Outcome.TOKENS else 1)))
        if num_bytes >= TRIM_TEXT_BYTES:
            del segments, content
            libc.malloc_trim(0)


def tokenized(vocab: Vocab, segments: Segments, add_special: bool) -> tuple[Outcome, bytes]:
    """The token ids of a text as bytes, or why there are none."""
    try:
        pieces = [(segment.text, segment.parse_special) for segment in segments]
        found = vocab.tokenize_pieces(pieces, add_special, MAX_STACK_BYTES)
        return Outcome.TOKENS, found.tobytes()
    except ValueError as error:
        unknown = _unknown_character(vocab, "".join(segment.text for segment in segments))
        return Outcome.REFUSED, (unknown or str(error).removeprefix("text: ")).encode()
    except MemoryError as error:
        return Outcome.NO_MEMORY, str(error).removeprefix("text: ").encode()
    except Exception as error:
        return Outcome.FAILED, f"{type(error).__name__}: {error}".encode()


def _unknown_character(vocab: Vocab, text: str) -> str:
    """Which character of the text cannot be spelt; empty if each of them can."""
    for character in dict.fromkeys(text):
        try:
            vocab.tokenize(character, False, False)
        except ValueError:
            return f"the model's vocabulary has no token for {character!a}; leave it out"
    return ""


def _limit_process() -> None:
    """No core files, no words on the terminal, and bounded memory: what dies here dies on purpose."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    with open("/proc/self/statm", encoding="ascii") as file:
        now_bytes = int(file.read().split()[0]) * mmap.PAGESIZE
    most_bytes = now_bytes + MAX_GROWTH_BYTES
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY or soft > most_bytes:  # else the operator allows less
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, hard))
