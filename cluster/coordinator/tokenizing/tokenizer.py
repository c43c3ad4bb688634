"""The tokenizer that the coordinator asks: fair between clients, bounded before it begins, and out of its process."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from cluster.api.errors import CapacityError, ClusterError, ContextOverflowError, UsageError
from cluster.api.prompt import Segments
from cluster.coordinator.tokenizing.lane import LaneLostError, Outcome, Reply
from cluster.coordinator.tokenizing.process import TokenizerProcess
from cluster.coordinator.tokenizing.token_table import TokenTable
from cluster.fairness.turns import Turns
from cluster.wire.limits import MAX_PROMPT_TOKENS

# The lanes but the last, each for texts of up to so many bytes, with so much CPU time. They take up to 5 and 140 ms
# there, most of them a quarter of it (all pre-tokenizers of llama.cpp, 2 cores of an AMD EPYC); one that takes longer
# than it may begins anew in the next lane.
LANES = ((2 << 10, 0.05), (64 << 10, 0.5))
# In the last one, texts take 0.3 to 2.1 microseconds for each byte on the same machine; several times as long is not
# the length, but a pattern that tries a run of characters again and again.
LAST_CPU_S = 2.0
LAST_CPU_S_PER_BYTE = 8e-6
# A worker that others leave no CPU time is waited for; one that is stopped is not, not for ever.
WALL_S = 60.0
WALL_S_PER_CPU_S = 10.0


class Tokenizer:
    """`tokenize` lives on one event loop; the rest is for any thread. Close it."""

    def __init__(self, path: Path, name: str, context_length: int) -> None:
        """Load the vocabulary of the GGUF at `path`; UsageError says of `name` why it cannot be used.

        No text is looked at that cannot fit into `context_length` tokens.
        """
        self._path = path
        self._name = name
        self._context_length = context_length
        self._process = TokenizerProcess(path, name)
        self._turns = tuple(Turns() for _ in self._process.lanes)
        self._starting = asyncio.Lock()

    @property
    def table(self) -> TokenTable:
        return self._process.table

    @property
    def max_text_bytes(self) -> int:
        """A longer text cannot fit: each token stands for `longest_bytes` of it at most.

        That is so where every byte of a text has its place in a token, as with all BPE and SentencePiece
        vocabularies that have their 256 bytes. Of one that leaves out what it does not know, or drops white space, a
        longer text might have fitted.
        """
        return self._context_length * self.table.longest_bytes

    async def tokenize(self, client: str, field: str, segments: Segments, add_special: bool) -> list[int]:
        """Token ids of a text that `client` gave as `field`. UsageError, CapacityError or ClusterError name that."""
        # each character has a byte at least, so most need no encoding
        self._check_size(field, sum(len(segment.text) for segment in segments))
        num_bytes = sum(len(segment.text.encode()) for segment in segments)
        self._check_size(field, num_bytes)
        for lane, (most_bytes, cpu_s) in enumerate(LANES):
            if num_bytes <= most_bytes:
                reply = await self._ask(client, lane, segments, add_special, cpu_s)
                if not _took_too_long(reply):
                    break
        else:
            cpu_s = LAST_CPU_S + LAST_CPU_S_PER_BYTE * num_bytes
            reply = await self._ask(client, len(LANES), segments, add_special, cpu_s)
        if reply.token_ids is None:
            raise _error(field, num_bytes, reply)
        if len(reply.token_ids) > MAX_PROMPT_TOKENS:
            raise UsageError(f"{field}: {len(reply.token_ids)} tokens; give text of at most {MAX_PROMPT_TOKENS}")
        token_ids: list[int] = reply.token_ids.tolist()
        return token_ids

    def close(self) -> None:
        self._process.close()

    def _check_size(self, field: str, num_bytes: int) -> None:
        if num_bytes > self.max_text_bytes:
            raise ContextOverflowError(
                f"{field}: {num_bytes} bytes cannot fit into the context of {self._context_length} tokens, of which "
                f"none stands for more than {self.table.longest_bytes}; give at most {self.max_text_bytes} bytes, or "
                "start the cluster with a larger --ctx-size"
            )

    async def _ask(self, client: str, lane: int, segments: Segments, add_special: bool, cpu_s: float) -> Reply:
        """The reply of a lane, once it is the client's turn. If the client goes, its turn ends with its text."""
        turns = self._turns[lane]
        await turns.take(client)
        asked = asyncio.ensure_future(self._exchange(lane, segments, add_special, cpu_s))

        def end_turn(done: asyncio.Future[Reply]) -> None:
            turns.give_on()
            if not done.cancelled():
                done.exception()  # looked at, should nobody else be there to do so

        asked.add_done_callback(end_turn)
        return await asyncio.shield(asked)

    async def _exchange(self, lane: int, segments: Segments, add_special: bool, cpu_s: float) -> Reply:
        """As `Lane.ask`; where that ends with a process that was killed, another one is asked."""
        wall_s = WALL_S + WALL_S_PER_CPU_S * cpu_s
        for is_last in (False, True):
            process = self._process
            try:
                reply = await process.lanes[lane].ask(segments, add_special, cpu_s, wall_s)
                if is_last or reply.exit_code != -signal.SIGKILL:  # which is not of the text's doing
                    return reply
            except LaneLostError as error:
                await self._restart(process)
                if is_last:
                    raise ClusterError(f"tokenizer: its process was lost twice ({error}); ask again") from error
        raise AssertionError("unreachable")

    async def _restart(self, lost: TokenizerProcess) -> None:
        """A process in the place of `lost`, unless another task has started one. ClusterError if that cannot be."""
        async with self._starting:
            if self._process is lost:
                await asyncio.to_thread(lost.close)
                try:
                    self._process = await asyncio.to_thread(TokenizerProcess, self._path, self._name)
                except UsageError as error:  # not of the text's doing
                    raise ClusterError(f"tokenizer: it was lost, and cannot be started again: {error}") from error


def _took_too_long(reply: Reply) -> bool:
    return reply.outcome is Outcome.DIED and reply.exit_code == -signal.SIGPROF


def _error(field: str, num_bytes: int, reply: Reply) -> ClusterError:
    match reply.outcome:
        case Outcome.REFUSED:
            return UsageError(f"{field}: {reply.reason}")
        case Outcome.NO_MEMORY:
            return CapacityError(f"{field}: {reply.reason or 'no memory to tokenise it; give a shorter one'}")
        case Outcome.FAILED:
            return ClusterError(
                f"{field}: libllama could not tokenise it ({reply.reason}); the model file may be damaged"
            )
        case _ if _took_too_long(reply):
            return UsageError(
                f"{field}: tokenising its {num_bytes} bytes took too long; give fewer, or break up long runs of "
                "digits, spaces or letters"
            )
        case _ if reply.exit_code == -signal.SIGKILL:
            return CapacityError(
                f"{field}: the process that tokenised it was killed, maybe for lack of memory; ask again"
            )
        case _:
            return UsageError(
                f"{field}: this model's tokenizer died of it ({_cause(reply.exit_code)}), as it does of very long runs "
                "of one kind of character; break them up"
            )


def _cause(exit_code: int) -> str:
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"exit code {exit_code}"
