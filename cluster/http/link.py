"""The cluster as the server sees it: asked how it is now and then, and found again by itself when it was away."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from functools import partial

from cluster.api.errors import ClusterError
from cluster.api.status import ClusterStatus
from cluster.chat.model import ChatModel
from cluster.client.aio import AsyncClient
from cluster.http.errors import RefusedError
from cluster.http.faces.face import Problem, Served
from cluster.http.limits import RETRY_S
from cluster.http.own_cluster import FindEndpoint
from cluster.http.settings import HttpSettings
from cluster.wire.access.endpoint import Endpoint

READY_EVERY_S = 2.0
AWAY_EVERY_S = 0.5
STATUS_TIMEOUT_S = 3.0
MODEL_TIMEOUT_S = 60.0
CHAT_S = 5.0  # for the template, before prompts without one are served
_log = logging.getLogger(__name__)


class Link:
    """For one event loop. `served` and `chat` are there from the first time that the cluster was."""

    def __init__(self, settings: HttpSettings, find: FindEndpoint) -> None:
        self._settings = settings
        self._find = find
        self._endpoint: Endpoint | None = None
        self._client: AsyncClient | None = None
        self.served: Served | None = None
        self.chat: ChatModel | None = None
        self.chat_trouble = ""  # why the model cannot be chatted with
        self.status: ClusterStatus | None = None  # the latest; None while it is away
        self.reason = "the cluster has not answered yet"  # why it is away
        self.is_draining = False
        self.created_s = int(time.time())  # when the model was found here
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._is_stopped = True
        if self.chat is not None:
            await asyncio.to_thread(self.chat.close)
        if self._client is not None:
            await self._client.close()

    @property
    def client(self) -> AsyncClient:
        """Of the cluster; there is one once there is something served."""
        assert self._client is not None, "require comes first"
        return self._client

    @property
    def is_ready(self) -> bool:
        """Whether a load balancer should send requests here."""
        return (
            self.served is not None and self.status is not None and self.status.health.is_ready and not self.is_draining
        )

    def require(self) -> Served:
        """What is served. RefusedError while there is nothing, or nobody new is taken."""
        if self.is_draining:
            raise unavailable("Server is shutting down: no new requests are taken")
        if self.served is None or self.status is None:
            raise unavailable("Loading model", self.reason)
        return self.served

    def require_chat(self) -> ChatModel:
        """RefusedError for a model whose template is of no use; its prompts can be completed all the same."""
        self.require()
        if self.chat is None:
            message = f"messages: this model cannot be chatted with: {self.chat_trouble}; ask /v1/completions"
            raise RefusedError(Problem(501, "not_supported_error", message, "not_supported"))
        return self.chat

    async def _watch(self) -> None:
        while True:
            try:
                client = self._client if self.status is not None else await self._connect()
                assert client is not None, "who was not away has one"
                status = await client.status(STATUS_TIMEOUT_S)
                if self.served is None or _differs(self.served, status):
                    await self._load(status)
                self.status = status
            except ClusterError as error:
                self._is_away(str(error))
            except Exception as error:  # or the server would say for ever that the model is loading
                _log.exception("looking for the cluster failed")
                self._is_away(f"internal error: {type(error).__name__}")
            await asyncio.sleep(READY_EVERY_S if self.status is not None else AWAY_EVERY_S)

    async def _connect(self) -> AsyncClient:
        """To where the cluster is now: a repaired one may be elsewhere."""
        endpoint = await asyncio.to_thread(self._find)
        if self._client is None or endpoint != self._endpoint:
            old, self._client, self._endpoint = self._client, AsyncClient(endpoint), endpoint
            if old is not None:
                await old.close()
        return self._client

    def _is_away(self, reason: str) -> None:
        if self.status is not None:
            _log.warning("the cluster is away: %s", reason)
        self.status, self.reason = None, reason

    async def _load(self, status: ClusterStatus) -> None:
        async with asyncio.timeout(MODEL_TIMEOUT_S):
            model, vocabulary = await self.client.model(), await self.client.vocabulary()
        settings, old = self._settings, self.chat
        self.chat, self.chat_trouble = None, "its template is still being looked at"
        if old is not None:
            await asyncio.to_thread(old.close)
        alias = settings.aliases[0] if settings.aliases else model.name
        self.served = Served(settings, model, vocabulary, status.num_slots, alias)
        self.created_s = int(time.time())
        _log.info("serving %s", alias)
        # A template that takes its time, or means harm, must not keep prompts that need none waiting.
        found = asyncio.get_running_loop().create_future()
        work = partial(self._look_at_template, self.served, asyncio.get_running_loop(), found)
        threading.Thread(target=work, name="http-template", daemon=True).start()
        await asyncio.wait({found}, timeout=CHAT_S)

    def _look_at_template(self, served: Served, loop: asyncio.AbstractEventLoop, found: asyncio.Future[None]) -> None:
        """In a thread of its own, which nobody waits for."""
        settings = served.settings
        result: ChatModel | Exception
        try:
            result = ChatModel.of(
                served.model,
                served.vocabulary,
                override=settings.chat_template,
                input_marking=settings.input_marking,
            )
        except Exception as error:
            result = error
        try:
            loop.call_soon_threadsafe(self._take_chat, served, result, found)
        except RuntimeError:  # the server has ended meanwhile
            if isinstance(result, ChatModel):
                result.close()

    def _take_chat(self, served: Served, result: ChatModel | Exception, found: asyncio.Future[None]) -> None:
        if isinstance(result, ChatModel):
            if served is self.served and not self._is_stopped:
                self.chat, self.chat_trouble = result, ""
            else:
                threading.Thread(target=result.close, name="http-template", daemon=True).start()
        elif served is self.served:
            known = isinstance(result, ClusterError)
            self.chat_trouble = str(result) if known else f"internal error: {type(result).__name__}"
            _log.warning("chat: %s", self.chat_trouble, exc_info=None if known else result)
        if not found.done():
            found.set_result(None)


def unavailable(message: str, why: str = "") -> RefusedError:
    more = {"reason": why} if why else None
    return RefusedError(Problem(503, "unavailable_error", message, "unavailable", retry_after_s=RETRY_S, more=more))


def _differs(served: Served, status: ClusterStatus) -> bool:
    """Another model has come to that address, or the same one with another context."""
    known = (served.model.hash, served.model.context_length, served.num_slots)
    return known != (status.model_hash, status.context_length, status.num_slots)
