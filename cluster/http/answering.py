"""From an endpoint's body to its answer: the way of every request that generates."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import orjson

from cluster.api.errors import CapacityError, ClusterError, ContextOverflowError, UnreachableError
from cluster.chat.events import ChatEvent, Failed
from cluster.chat.messages import ChatRequest
from cluster.chat.turn import Turn
from cluster.http.choices import Choices
from cluster.http.errors import problem_for, refused
from cluster.http.exchange import Exchange, json_object
from cluster.http.faces.face import Asked, AtOnce, Face, Served
from cluster.http.fetching import PictureFetcher
from cluster.http.limits import HEADERS_S, KEEP_ALIVE_S, STALLED_S, Admission
from cluster.http.link import Link
from cluster.http.metrics import Metrics, RequestMeter
from cluster.http.names import check_model
from cluster.http.preparing import Preparing

LONG_BYTES = 16 << 10
# Fields whose grammars are compiled while they are read.
_SLOW = {"format", "grammar", "json_schema", "output_config", "response_format", "text", "tools"}
_log = logging.getLogger(__name__)


class Answering:
    """For one event loop. A request holds its place here from its headers to its last byte."""

    def __init__(self, link: Link, metrics: Metrics, max_streams: int, fetcher: PictureFetcher | None = None) -> None:
        self._link = link
        self._metrics = metrics
        self.admission = Admission(max_streams)
        self._preparing = Preparing(link, fetcher)
        self._answers: dict[str, Answer] = {}  # by request id

    @property
    def num_open(self) -> int:
        return self.admission.num_open

    async def answer(self, face: Face, exchange: Exchange) -> None:
        """Whatever happens, the client is told, unless it has gone."""
        request_id = exchange.request_id
        try:
            served = self._link.require()
            self.admission.begin()
        except Exception as error:
            await self._refuse(face, exchange, error)
            return
        meter = self._metrics.open()
        try:
            asked = await self.asked(face, exchange, served)
            if isinstance(asked, AtOnce):
                await exchange.reply(200, orjson.dumps(asked.body))
                return
            choices = await self._preparing.choices(asked)
            answer = self._answers[request_id] = Answer(exchange, asked, choices, meter)
            await answer.run()
        except Exception as error:
            if isinstance(error, CapacityError):
                self.admission.queue_was_full()
            await self._refuse(face, exchange, _counted(error, served))
        finally:
            self._answers.pop(request_id, None)
            self.admission.end()
            meter.close()

    def cancel(self, request_id: str) -> bool:
        """End an answer where it is, as if its text ended there. False if there is none."""
        answer = self._answers.get(request_id)
        if answer is None:
            return False
        answer.choices.close()
        return True

    def tick(self) -> None:
        """Called each second: keeps silent streams alive, and cuts off clients that take nothing."""
        for answer in list(self._answers.values()):
            answer.tick()

    def cancel_all(self) -> None:
        """The server goes. Whose answer is cut off must not take it for a whole one."""
        for answer in list(self._answers.values()):
            answer.choices.close(UnreachableError("server: it is shutting down; ask again"))

    def close(self) -> None:
        self._preparing.close()

    async def turn(self, request: ChatRequest) -> Turn:
        """The prompt of a chat that is not to be answered."""
        return await self._preparing.turn(request)

    async def asked(self, face: Face, exchange: Exchange, served: Served) -> Asked | AtOnce:
        """What the body says."""
        data = await exchange.read()
        body = json_object(data)
        check_model(body, served)
        parse = partial(face.parse, body, served, exchange.request_id)
        asked = await self._preparing.call(parse) if len(data) > LONG_BYTES or _SLOW & body.keys() else parse()
        if isinstance(asked, Asked):
            self._metrics.ignored(asked.ignored)
        return asked

    async def _refuse(self, face: Face, exchange: Exchange, error: Exception) -> None:
        problem = problem_for(error, exchange.request_id)
        if problem.status >= 500 and not isinstance(error, ClusterError) and problem.status != 503:
            _log.error("request %s failed", exchange.request_id, exc_info=error)
        if not exchange.has_begun:
            problem = replace(problem, request_id=exchange.request_id)
            await exchange.reply_problem(problem, face.error(problem))
        else:
            exchange.abort()


class Answer:
    """One that is open."""

    def __init__(self, exchange: Exchange, asked: Asked, choices: Choices, meter: RequestMeter) -> None:
        self.choices = choices
        self._exchange = exchange
        self._asked = asked
        self._encoder = asked.encoder
        self._meter = meter
        self._begun_s = time.monotonic()
        self._task: asyncio.Task[None] | None = None  # writes between events

    async def run(self) -> None:
        """Until the last byte. ClusterError where nothing has been sent; then the status says it."""
        try:
            async with asyncio.timeout(self._exchange.deadline_s):
                await (self._stream() if self._asked.is_streamed else self._whole())
        except TimeoutError:
            await self._too_late()
        finally:
            self.choices.close()

    async def _too_late(self) -> None:
        """The client's own deadline has passed."""
        exchange, encoder = self._exchange, self._encoder
        message = f"deadline: the answer was not there within {exchange.deadline_s:.3f} s; give it longer"
        if not exchange.has_begun:
            raise refused(504, "timeout_error", message, "deadline_exceeded")
        failed = Failed(0, ClusterError(message))
        await exchange.write(self._encoded([failed]) + encoder.close())
        await exchange.end()

    async def _stream(self) -> None:
        exchange, encoder = self._exchange, self._encoder
        async with aclosing(self.choices.batches()) as batches:
            async for events in batches:
                failed = _failure(events)
                if failed is not None and not exchange.has_begun:
                    raise failed.error
                if not exchange.has_begun:
                    opened = encoder.open()  # before its events are encoded: both may be numbered
                    await exchange.begin(encoder.content_type, opened + self._encoded(events))
                elif data := self._encoded(events):
                    await exchange.write(data)
                if failed is not None:
                    break
        last = encoder.close()
        if last:
            await exchange.write(last)
        await exchange.end()

    async def _whole(self) -> None:
        async with aclosing(self.choices.batches()) as batches:
            async for events in batches:
                failed = _failure(events)
                if failed is not None:
                    raise failed.error
                self._encoded(events)
        await self._exchange.reply(200, orjson.dumps(self._encoder.whole()))

    def _encoded(self, events: list[ChatEvent]) -> bytes:
        """What is sent for these. An encoder that fails has a bug; the stream says that it failed, too."""
        push, meter = self._encoder.push, self._meter
        parts = []
        for event in events:
            meter.push(event)
            parts.append(push(event))
        return b"".join(parts)

    def tick(self) -> None:
        exchange, now_s = self._exchange, time.monotonic()
        if exchange.is_sending:
            if now_s - exchange.sent_s > STALLED_S:
                _log.info("request %s: its client takes nothing, and is cut off", exchange.request_id)
                exchange.abort()
        elif not self._asked.is_streamed or (self._task is not None and not self._task.done()):
            return
        elif not exchange.has_begun:
            if now_s - self._begun_s > HEADERS_S:
                self._task = asyncio.create_task(self._begin_early())
        elif now_s - exchange.sent_s >= KEEP_ALIVE_S:
            self._task = asyncio.create_task(exchange.write(self._encoder.keep_alive()))

    async def _begin_early(self) -> None:
        """Headers before there is an event, unless one has come since the tick: a stream is opened once."""
        if not self._exchange.has_begun:
            await self._exchange.begin(self._encoder.content_type, self._encoder.open())


def _failure(events: list[ChatEvent]) -> Failed | None:
    return next((event for event in events if isinstance(event, Failed)), None)


def _counted(error: Exception, served: Served) -> Exception:
    """A prompt that was too long to be counted has one token more than fits, at least: clients want numbers."""
    if isinstance(error, ContextOverflowError) and not error.context_length:
        most = served.model.context_length
        return ContextOverflowError.of("prompt", most + 1, most)
    return error
