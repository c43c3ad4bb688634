"""The coordinator's tokenizer: the same ids as libllama gives, whatever a text does to the process that takes it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cluster.api.errors import UsageError
from cluster.api.prompt import Segment, Segments
from cluster.client.sync import Client
from cluster.coordinator.tokenizing import tokenizer as tokenizer_module
from cluster.coordinator.tokenizing.tokenizer import Tokenizer
from cluster.demo import model_path
from cluster.wire.access.endpoint import Listener
from cluster.wire.inference.server import InferenceServer
from tests.fakes.wire_backends import SECRET, EchoCluster, no_thread_left, wait_until
from tests.native.vocabularies import write_byte_pairs, write_chat_pieces, write_sentence_pieces
from worker_native import Vocab

pytestmark = pytest.mark.native

Result = TypeVar("Result")
TEXTS = ["", "the", "Once upon a time", "äöü 日本 🙂 \x00\n\t", "the end " * 1500, "<eos>", "\uffff" * 400]


def ask(tokenizer: Tokenizer, text: str, client: str = "a", **options: bool) -> Awaitable[list[int]]:
    add_special, parse_special = options.get("add_special", True), options.get("parse_special", False)
    return tokenizer.tokenize(client, "prompt", (Segment(text, parse_special),), add_special)


def run(path: Path, steps: Callable[[Tokenizer], Coroutine[Any, Any, Result]], context_length: int = 1 << 20) -> Result:
    with closing(Tokenizer(path, "model.gguf", context_length)) as tokenizer:
        return asyncio.run(steps(tokenizer))


def refusal(path: Path, text: str, context_length: int = 1 << 20) -> str:
    """Why a text is refused, by a tokenizer that then takes another one."""

    async def steps(tokenizer: Tokenizer) -> str:
        with pytest.raises(UsageError) as raised:
            await ask(tokenizer, text)
        assert await ask(tokenizer, "cab")
        return str(raised.value)

    return run(path, steps, context_length)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vocabularies")


def workers_of(tokenizer: Tokenizer) -> list[int]:
    pid = tokenizer._process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("specials", [(False, False), (True, False), (True, True)])
def test_ids_are_those_of_libllama(specials: tuple[bool, bool], folder: Path) -> None:
    async def steps(tokenizer: Tokenizer) -> list[list[int]]:
        return [await ask(tokenizer, text, add_special=specials[0], parse_special=specials[1]) for text in TEXTS]

    for path in (Path(model_path()), write_byte_pairs(folder / "gpt-4o.gguf", "gpt-4o")):
        vocab = Vocab(str(path))
        assert run(path, steps) == [vocab.tokenize(text, *specials).tolist() for text in TEXTS]


def test_the_table_is_the_vocabulary() -> None:
    vocab = Vocab(str(model_path()))
    with closing(Tokenizer(Path(model_path()), "demo", 1)) as tokenizer:
        table = tokenizer.table
    assert table.pieces == tuple(vocab.token_bytes(token) for token in range(vocab.num_tokens))
    assert (table.num_tokens, table.bos, table.end_tokens) == (vocab.num_tokens, vocab.bos, vocab.end_tokens)
    named = [token for token in range(vocab.num_tokens) if vocab.token_bytes(token) != vocab.token_bytes(token, True)]
    assert named
    assert dict(table.names) == {token: vocab.token_bytes(token, True) for token in named}
    assert all(table.token_bytes(token, True) == vocab.token_bytes(token, True) for token in range(vocab.num_tokens))
    assert table.longest_bytes == max(len(vocab.token_bytes(token, True)) for token in range(vocab.num_tokens))
    ids = vocab.tokenize("Once upon a time", False).tolist()
    assert table.text(ids, 16) == "Once upon a time"
    with pytest.raises(UsageError, match="16 bytes of text; give ids of at most 15"):
        table.text(ids, 15)


def test_segments_are_tokenised_as_one_text(folder: Path) -> None:
    path = write_chat_pieces(folder / "chat.gguf")
    segments = (Segment("<|im_start|>sys<", True), Segment("|im_end|>", False), Segment(" ä<|im_end|>", True))

    async def steps(tokenizer: Tokenizer) -> list[int]:
        table = tokenizer.table
        assert {table.names[token] for token in table.names} >= {b"<|im_start|>", b"<|im_end|>", b"<s>"}
        assert len(table.kinds) == table.num_tokens
        assert (table.vocab_type, table.adds_bos, table.eos) == (1, True, 2)
        return await tokenizer.tokenize("a", "prompt", segments, True)

    pieces = [(segment.text, segment.parse_special) for segment in segments]
    assert run(path, steps) == Vocab(str(path)).tokenize_pieces(pieces).tolist()


def test_a_text_that_cannot_fit_is_not_looked_at(folder: Path) -> None:
    path = write_byte_pairs(folder / "bound.gguf", "gpt-2")
    longest = "<|turn|>"

    async def steps(tokenizer: Tokenizer) -> None:
        assert tokenizer.max_text_bytes == 8 * len(longest)
        for worker in workers_of(tokenizer):
            os.kill(worker, signal.SIGSTOP)
        with pytest.raises(UsageError, match="prompt: 65 bytes cannot fit into the context of 8 tokens"):
            await ask(tokenizer, "a" * 65)
        for worker in workers_of(tokenizer):
            os.kill(worker, signal.SIGCONT)
        assert len(await ask(tokenizer, longest * 8, add_special=False, parse_special=True)) == 8

    run(path, steps, context_length=8)


def test_a_character_without_a_token_is_named(folder: Path) -> None:
    path = write_sentence_pieces(folder / "pieces.gguf")
    assert refusal(path, "cab a Zebra") == "prompt: the model's vocabulary has no token for 'Z'; leave it out"
    with pytest.raises(ValueError, match="no token"):
        Vocab(str(path)).tokenize("Z")


def test_a_run_that_would_take_minutes_is_refused(folder: Path) -> None:
    """The pre-tokenizer's pattern takes four times as long for twice the digits."""
    path = write_byte_pairs(folder / "superbpe.gguf", "superbpe")
    assert "more than 4096 digits" in refusal(path, "7" * 100_000)
    path = write_byte_pairs(folder / "deepseek-llm.gguf", "deepseek-llm")
    assert "more than 4096 spaces" in refusal(path, " " * 100_000 + "1")


@pytest.mark.parametrize("pattern", ["gpt-4o", "deepseek-v3", "bloom"])
def test_a_long_run_does_not_end_a_process(pattern: str, folder: Path) -> None:
    """Without a stack of its own, libllama dies of 27 KB."""
    path = write_byte_pairs(folder / "run.gguf", pattern)
    vocab = Vocab(str(path))
    for character in "a.1 ":
        tokens = vocab.tokenize(character * 100_000, add_special=False)
        assert b"".join(vocab.token_bytes(int(token)) for token in tokens) == character.encode() * 100_000


def test_a_worker_that_dies_of_a_text_ends_nothing_else(folder: Path) -> None:
    """A run of letters that outgrows the stack that a worker may have."""
    path = write_byte_pairs(folder / "dies.gguf", "gpt-4o")

    async def steps(tokenizer: Tokenizer) -> None:
        good = "the end " * 1000
        pid = tokenizer._process.pid
        found = await asyncio.gather(
            ask(tokenizer, good, "b"),
            ask(tokenizer, "a" * 1_000_000),
            ask(tokenizer, good, "c"),
            return_exceptions=True,
        )
        assert isinstance(found[1], UsageError)
        assert "this model's tokenizer died of it (SIGSEGV)" in str(found[1])
        assert found[0] == found[2] == Vocab(str(path)).tokenize(good).tolist()
        assert tokenizer._process.pid == pid

    run(path, steps)


class WithTokenizer(EchoCluster):
    """Answers with the prompt, as EchoCluster does, after a real tokenizer has taken it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    async def tokenize(self, client: str, field: str, segments: Segments, add_special: bool) -> list[int]:
        await self._tokenizer.tokenize(client, field, segments, add_special)
        return await super().tokenize(client, field, segments, add_special)


def test_streams_and_the_other_prompts_outlive_a_text_that_kills(folder: Path) -> None:
    path = write_byte_pairs(folder / "kills.gguf", "gpt-4o")
    with closing(Tokenizer(path, "model.gguf", 1 << 20)) as tokenizer, no_thread_left():
        server = InferenceServer(WithTokenizer(tokenizer), Listener(SECRET))
        with Client(server.start(), SECRET.text) as client, client.stream("wait") as victim:
            assert next(victim).text == "w"
            found = client.generate(["ab", "a" * 1_000_000, "cd"], return_errors=True)
            assert [getattr(one, "text", type(one)) for one in found] == ["ab", UsageError, "cd"]
            with pytest.raises(UsageError, match="text: this model's tokenizer died of it"):
                client.tokenize("a" * 1_000_000)
            assert client.status().state == "ready"
        server.stop()


def test_a_text_that_takes_too_long_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short one is tried again in the lane of the long ones first."""
    monkeypatch.setattr(tokenizer_module, "LANES", ((2000, 0.001), (64000, 0.001)))
    path = write_byte_pairs(folder / "slow.gguf", "superbpe")

    async def slow(tokenizer: Tokenizer) -> list[int]:
        return await ask(tokenizer, "7" * 1000)

    assert run(path, slow) == Vocab(str(path)).tokenize("7" * 1000).tolist()
    monkeypatch.setattr(tokenizer_module, "LAST_CPU_S", 0.001)
    monkeypatch.setattr(tokenizer_module, "LAST_CPU_S_PER_BYTE", 0.0)
    assert "tokenising its 4000 bytes took too long" in refusal_of_slow(path)


def refusal_of_slow(path: Path) -> str:
    async def steps(tokenizer: Tokenizer) -> str:
        with pytest.raises(UsageError) as raised:
            await ask(tokenizer, "7" * 4000)
        return str(raised.value)

    return run(path, steps)


def test_a_process_that_is_killed_is_started_anew(folder: Path) -> None:
    path = write_byte_pairs(folder / "killed.gguf", "gpt-2")

    async def steps(tokenizer: Tokenizer) -> None:
        wanted = await ask(tokenizer, "the end")
        before = tokenizer._process
        os.kill(before.pid, signal.SIGKILL)
        os.waitid(os.P_PID, before.pid, os.WEXITED | os.WNOWAIT)
        assert await asyncio.gather(ask(tokenizer, "the end"), ask(tokenizer, "the end", "b")) == [wanted] * 2
        assert tokenizer._process is not before
        for _ in range(20):  # killed while they are idle: another takes their place
            for worker in workers_of(tokenizer):
                os.kill(worker, signal.SIGKILL)
            assert await ask(tokenizer, "the end") == wanted

    run(path, steps)


def test_a_client_that_leaves_does_not_leave_its_answer_to_the_next(folder: Path) -> None:
    path = write_byte_pairs(folder / "leaves.gguf", "gpt-4o")

    async def steps(tokenizer: Tokenizer) -> None:
        leaving = asyncio.create_task(ask(tokenizer, "aA" * 100_000))  # type: ignore[arg-type]
        await asyncio.sleep(0)  # until it is sent
        leaving.cancel()
        assert await ask(tokenizer, "the " * 2000, "b") == Vocab(str(path)).tokenize("the " * 2000).tolist()
        with pytest.raises(asyncio.CancelledError):
            await leaving

    run(path, steps)


def test_short_texts_do_not_wait_for_long_ones(folder: Path) -> None:
    path = write_byte_pairs(folder / "lanes.gguf", "gpt-4o")

    async def steps(tokenizer: Tokenizer) -> None:
        _, middle, last = workers_of(tokenizer)  # in the order in which they were forked
        longer = []
        for worker, text in ((last, "the end " * 20_000), (middle, "the end " * 2000)):
            os.kill(worker, signal.SIGSTOP)
            longer.append(asyncio.create_task(ask(tokenizer, text)))  # type: ignore[arg-type]
        for _ in range(20):
            assert await ask(tokenizer, "the end", "b")
        os.kill(middle, signal.SIGCONT)
        assert await longer[1]
        assert not longer[0].done()
        os.kill(last, signal.SIGCONT)
        assert await longer[0]

    run(path, steps)


def test_no_process_is_left(folder: Path) -> None:
    tokenizer = Tokenizer(write_byte_pairs(folder / "left.gguf", "gpt-2"), "model.gguf", 8)
    pids = [tokenizer._process.pid, *workers_of(tokenizer)]
    assert len(pids) == 4
    tokenizer.close()
    # Of workers whose parent is gone nobody of ours hears how they ended: init does, a moment later.
    wait_until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()])


def test_a_vocabulary_that_cannot_be_used_says_why(folder: Path) -> None:
    path = folder / "none.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(UsageError, match=r"model\.gguf: its tokenizer cannot be used: path: .* is not a readable GGUF"):
        Tokenizer(path, "model.gguf", 8)
