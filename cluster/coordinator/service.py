"""The coordinator: an engine in a thread, the stages it drives, and the server that clients talk to."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from queue import Empty, Queue

from cluster.api.embedding import Pooling
from cluster.api.errors import CapacityError, ClusterError, UnreachableError, UnsupportedModelError
from cluster.api.lists import Scales
from cluster.api.model import AdapterInfo, ModelInfo, VocabularyTable
from cluster.api.prompt import Pair, Segments
from cluster.api.results import TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.api.status import ClusterStatus, Condition, Health, SlotStatus
from cluster.coordinator.abilities import (
    check_makes_text,
    check_pictured,
    draft_model_of,
    draft_state,
    drafter_for,
    limits_of,
    makes_text,
    pooling_for,
    prompt_for,
)
from cluster.coordinator.adapters import Adapters
from cluster.coordinator.drafting.drafter import ModelDrafter
from cluster.coordinator.drafting.open import model_drafter
from cluster.coordinator.grammars import Grammars
from cluster.coordinator.journal.asked import Asked
from cluster.coordinator.journal.journal import Journal
from cluster.coordinator.model_facts import model_info, vocabulary_table
from cluster.coordinator.pairs import Pairs
from cluster.coordinator.pictures import Pictures
from cluster.coordinator.pipeline import Pipeline
from cluster.coordinator.sinks import pass_event, pass_logits, pass_vector
from cluster.coordinator.spec import CoordinatorSpec, StageEndpoint
from cluster.coordinator.taken_up import TakenUp
from cluster.coordinator.tokenizing.tokenizer import Tokenizer
from cluster.engine.events import Embedding, Output, keep_nothing
from cluster.engine.loop import Engine
from cluster.messages.pictures import PicturedPrompt, PictureRows
from cluster.messages.program import Arrays
from cluster.sources.stored import stored_vocabulary
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.keys import Keys
from cluster.wire.inference.backend import ArraysSink, Cancel, EmbedSink, EventSink, GivenArray, LogitsSink
from cluster.wire.inference.server import InferenceServer
from cluster.wire.limits import MAX_TEXT_BYTES

ENGINE_STOP_TIMEOUT_S = 5.0
FIRST_TOKEN_CHECK_S = 0.1
TOKEN_ID_BYTES = 5  # most that an id takes in a message


class CoordinatorService:
    """Schedules and serves; holds the bytes of all tokens, and no weights.

    Implements `wire.inference.backend.InferenceBackend`.
    """

    def __init__(self, spec: CoordinatorSpec, keys: Keys, clients: Listener, journal: Journal | None = None) -> None:
        """Load the vocabulary. UsageError if the file has none that libllama takes.

        `keys`: of the cluster's processes. `clients`: where they are answered, and what they are asked for. `journal`:
        where requests are kept for the coordinator after this one; None: they end with it.
        """
        self._spec = spec
        vocabulary = stored_vocabulary(spec.source, spec.model_hash, keys).path
        self._tokenizer = Tokenizer(vocabulary, spec.source.shown_name, spec.context_length)
        self._table = self._tokenizer.table
        self._pairs = Pairs(vocabulary, self._tokenizer)
        self._pictures = Pictures(spec, vocabulary, self._tokenizer)
        self._model = model_info(spec, vocabulary, self._table)
        self._adapters = Adapters(spec.adapters)
        self._pipeline = Pipeline(spec, keys)
        stages = self._pipeline.stages
        self._grammars = Grammars(stages.compile)
        limits = limits_of(spec, self._table)
        self._draft_model: ModelDrafter | None = None
        if (model := draft_model_of(spec)) is not None:
            self._draft_model = model_drafter(model, self._table.num_tokens, keys, lambda: self._engine.wake())
        self._engine = self._pipeline.engine = Engine(
            stages,
            self._table,
            limits,
            find_cause=self._pipeline.cause_of,
            drafter=self._draft_model or drafter_for(spec),
            patience_s=spec.patience_s,
            keep=keep_nothing if journal is None else journal.tell,
        )
        self._engine_thread = threading.Thread(target=self._engine.run, name="engine", daemon=True)
        self.hold_recovery = self._pipeline.hold_recovery
        self.give_up = self._pipeline.give_up
        self.pause, self.expect, self.refuse = self._pipeline.pause, self._pipeline.expect, self._pipeline.refuse
        self.intervals = self._pipeline.intervals
        self._journal = journal
        self._taken_up = TakenUp(() if journal is None else journal.open(), self._forget)
        self._has_begun = False
        self._server = InferenceServer(self, clients)
        self._protection = clients.protection
        self._address = ""

    @property
    def epoch(self) -> int:
        """The epoch the engine is in; 0 before the stages were wired."""
        return self._engine.snapshot().epoch

    @property
    def trouble(self) -> str:
        """Why nothing is served; "" where it is."""
        return self._pipeline.trouble

    def start(self) -> str:
        """Listen. Returns the address; once more, if it listens already."""
        if not self._address:
            self._address = self._server.start()
            self._engine_thread.start()
            if self._draft_model is not None:
                self._draft_model.start()
            self._pipeline.start()
        return self._address

    def wire(self, epoch: int, stages: tuple[StageEndpoint, ...]) -> None:
        """Begin an epoch with these stages. HandshakeError, or UnreachableError."""
        self._pipeline.wire(epoch, stages)
        if not self._has_begun:
            self._has_begun = True
            threading.Thread(target=self._taken_up.begin, args=(self._go_on,), name="taken-up", daemon=True).start()

    def first_token(self, timeout_s: float) -> None:
        """Wait until a token has gone through all stages: ours, or that of a client who asked before us."""
        answers: Queue[Output] = Queue()
        token = self._table.bos if self._table.bos is not None else 0
        params = SamplingParams(max_tokens=1, temperature=0.0, ignore_eos=True)
        num_tokens = self._engine.snapshot().num_tokens
        if makes_text(self._spec):
            token = 1 if token == self._spec.decoder_start else token
            request = self._engine.submit(prompt_for(self._spec, [token], params), params, answers.put)
        else:
            request = self._engine.submit([token], None, answers.put, pooling=self._spec.pooling)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                answer = answers.get(timeout=FIRST_TOKEN_CHECK_S)
            except Empty:
                answer = None
            # A queue full of clients' requests is no reason to give up; that they get nothing is.
            if isinstance(answer, ClusterError) and not isinstance(answer, CapacityError):
                raise answer
            if isinstance(answer, TokenEvent | Embedding) or self._engine.snapshot().num_tokens > num_tokens:
                return
        self._engine.cancel(request)
        raise UnreachableError(f"stages: no token came back within {timeout_s:.0f} s; run cluster down, then up again")

    def stop(self) -> None:
        """End all requests, streams and threads."""
        self._pipeline.stop()
        self._engine.stop()
        if self._engine_thread.is_alive():
            self._engine_thread.join(ENGINE_STOP_TIMEOUT_S)
        if self._draft_model is not None:
            self._draft_model.close()
        self._server.stop()
        self._taken_up.close()
        if self._journal is not None:
            self._journal.close()
        self._pipeline.close()
        self._tokenizer.close()
        self._pictures.close()
        self._grammars.close()

    @property
    def num_slots(self) -> int:
        return self._spec.num_slots

    @property
    def max_prompt_bytes(self) -> int:
        return max(self._tokenizer.max_text_bytes, TOKEN_ID_BYTES * self._spec.context_length)

    @property
    def keeps_requests(self) -> bool:
        return self._journal is not None

    @property
    def takes_pictures(self) -> bool:
        return self._pictures.are_taken

    def generate(
        self,
        prompt: list[int] | PicturedPrompt,
        params: SamplingParams,
        sink: EventSink,
        client: str = "",
        ticket: bytes = b"",
    ) -> Cancel:
        """Queue a request for text. CapacityError for a grammar that has no room, UsageError for no adapter of ours.

        One with pictures ends with this coordinator: the journal has no room for these.
        """
        check_makes_text(self._spec)
        if isinstance(prompt, PicturedPrompt):
            check_pictured(params)
            ticket = b""
        else:
            prompt = PicturedPrompt(tuple(prompt_for(self._spec, prompt, params)))
        if params.seed is None:  # whoever goes on with it draws the same numbers
            params = replace(params, seed=secrets.randbits(63))
        asked = Asked(ticket, prompt.token_ids, params, client, self._adapters.scales_of(params.lora))
        return self._submit(asked, None, sink, prompt.pictures)

    def resume(self, ticket: bytes, num_received: int, sink: EventSink) -> Cancel | None:
        """Go on with a request that the coordinator before this one left open; None if it is not known."""
        return self._taken_up.attach(ticket, num_received, sink)

    def _go_on(self, asked: Asked, begun: tuple[int, ...], sink: EventSink) -> Cancel:
        """As `generate`, behind the tokens that were told. In a thread: the last stage compiles grammars anew."""
        if self._journal is not None:
            self._journal.try_again(asked.ticket)
        if asked.params.grammar or asked.params.dry_multiplier:
            self._grammars.check(asked.params.grammar)
        return self._submit(asked, begun, sink)

    def _submit(
        self,
        asked: Asked,
        begun: tuple[int, ...] | None,
        sink: EventSink,
        pictures: tuple[PictureRows, ...] = (),
    ) -> Cancel:
        """`begun`: of a request that the journal has; None of a new one."""
        admitted = self._grammars.admit(asked.params, partial(pass_event, sink))
        if self._journal is not None and asked.ticket and begun is None:
            self._journal.begin(asked)
        told = (asked.token_ids, asked.params, admitted, asked.client, None, asked.scales, begun or (), asked.ticket)
        return partial(self._end, self._engine.submit(*told, pictures), asked.ticket)

    def _end(self, request: int, ticket: bytes) -> None:
        """Its client has all that it wanted."""
        self._engine.cancel(request)
        self._forget(ticket)

    def _forget(self, ticket: bytes) -> None:
        if self._journal is not None:
            self._journal.end(ticket)

    def logits(self, token_ids: list[int], sink: LogitsSink, client: str = "") -> Cancel:
        """Queue a request for the logits of every position."""
        check_makes_text(self._spec)
        token_ids = prompt_for(self._spec, token_ids, None)
        scales = self._adapters.scales_of(())
        request = self._engine.submit(token_ids, None, partial(pass_logits, sink), client, scales=scales)
        return partial(self._engine.cancel, request)

    def embed(self, token_ids: list[int], pooling: Pooling | None, sink: EmbedSink, client: str = "") -> Cancel:
        """Queue a request for the vector of a text. UnsupportedModelError if the model gives none."""
        wanted = pooling_for(self._spec, pooling, len(token_ids))
        scales = self._adapters.scales_of(())
        request = self._engine.submit(token_ids, None, partial(pass_vector, sink), client, wanted, scales)
        return partial(self._engine.cancel, request)

    def check_run(self, given: Mapping[str, GivenArray]) -> tuple[int, ...]:
        """UnsupportedModelError: it is no program."""
        raise UnsupportedModelError(f"run: {self._spec.model} is no program; ask it to generate")

    def run(self, symbols: tuple[int, ...], arrays: Arrays, sink: ArraysSink, client: str = "") -> Cancel:
        """As `check_run`."""
        raise AssertionError("check_run refused it")

    async def tokenize(self, client: str, field: str, segments: Segments, add_special: bool) -> list[int]:
        """Token ids of a text, by the model's own vocabulary."""
        return await self._tokenizer.tokenize(client, field, segments, add_special)

    async def pictured(self, client: str, field: str, segments: Segments, add_special: bool) -> PicturedPrompt:
        """Token ids of texts and rows of pictures, in their order."""
        return await self._pictures.prompt(client, field, segments, add_special)

    async def tokenize_pair(self, client: str, pair: Pair) -> list[int]:
        """Token ids of a query and a document together."""
        return await self._pairs.tokens(client, "documents", pair.query, pair.document)

    def check_grammar(self, grammar: str) -> None:
        """UsageError if it cannot be used; else the last stage has it ready."""
        self._grammars.check(grammar)

    def detokenize(self, token_ids: list[int]) -> str:
        """Text of token ids; bytes that are no UTF-8 become U+FFFD."""
        return self._table.text(token_ids, MAX_TEXT_BYTES)

    def model(self) -> ModelInfo:
        """What is known of the model."""
        return replace(self._model, adapters=self._adapters.all)

    def adapters(self, scales: Scales | None) -> tuple[AdapterInfo, ...]:
        """All of them, once requests that name none have these scales. UsageError for one that is not there."""
        if scales is not None:
            self._adapters.rescale(scales)
        return self._adapters.all

    def vocabulary(self) -> VocabularyTable:
        """All tokens of the model."""
        return vocabulary_table(self._table)

    def status(self) -> ClusterStatus:
        """The cluster now; asks every stage."""
        found = self._pipeline.status(
            self._address,
            self._protection,
            self._spec.num_slots,
            context_length=self._spec.context_length,
            vocab_size=self._table.num_tokens,
        )
        draft = draft_state(self._spec) if self._draft_model is None else self._draft_model.state
        found = replace(found, draft=draft)
        if self._engine_thread.is_alive():
            return found
        ended = Health(Condition.DEGRADED, "the engine has ended; run cluster down, then up again")
        return replace(found, health=ended)

    def slots(self) -> tuple[SlotStatus, ...]:
        """What each slot is used for now."""
        return self._engine.slots()
