"""A whole cluster without Ray, and the HTTP server over it: real stages with the demo model, on loopback."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from cluster.actors.driver.wiring import wire_all
from cluster.coordinator.service import CoordinatorService
from cluster.coordinator.spec import CoordinatorSpec
from cluster.cutting.header import read_header
from cluster.demo import model_path
from cluster.http.service import HttpService
from cluster.http.settings import HttpSettings
from cluster.http_config import digest_of
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.source import AdapterSource
from cluster.stage.loading import load_stage
from cluster.stage.service import Load, StageService
from cluster.stage.spec import GgufOptions, LoadedStage, StageSpec
from cluster.wire.access.endpoint import Endpoint, Listener
from cluster.wire.access.keys import Keys
from tests.fakes.wire_backends import SECRET, wait_until

UBATCH_SIZE = 64
READY_S = 60.0


@dataclass
class Served:
    """A coordinator, its stages, and an HTTP server over them."""

    url: str  # "http://host:port"
    http: HttpService
    coordinator: CoordinatorService
    stages: list[StageService]
    endpoint: Endpoint  # of the coordinator, for clients
    num_slots: int
    key: str = ""  # that is shown

    @property
    def host(self) -> str:
        return str(urlsplit(self.url).netloc)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request over a connection of its own, as `asked` sends it, with the key."""
        if self.key:
            headers = {"authorization": f"Bearer {self.key}", **headers}
        return asked(self.url, method, path, body, **headers)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def wait_idle(self) -> None:
        """Until nothing runs or waits in the cluster."""
        wait_until(lambda: self._num_asked() == 0, 60)  # a busy machine takes its time for a long answer

    def _num_asked(self) -> int:
        status = self.coordinator.status()
        return status.num_slots_used + status.num_waiting


@dataclass(frozen=True)
class Answer:
    """Of one request."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)

    def events(self) -> list[Any]:
        """What the data of each server-sent event holds; "[DONE]" as it is."""
        found = []
        for part in self.content.decode().split("\n\n"):
            data = "\n".join(line[6:] for line in part.split("\n") if line.startswith("data: "))
            if data:
                found.append(data if data == "[DONE]" else json.loads(data))
        return found


def asked(url: str, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """One request. `body`: bytes are sent as they are, else it is JSON. `headers`: with _ for -."""
    connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=60)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request(method, path, data, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


@contextmanager
def serving(
    settings: HttpSettings | None = None,
    *,
    keys: Sequence[str] = (),
    model: str = "",
    num_stages: int = 2,
    num_slots: int = 4,
    context_length: int = 512,
    max_waiting: int = 64,
    load: Load | None = None,
    cluster: Served | None = None,
    embeddings: bool = False,
    adapters: tuple[AdapterSource, ...] = (),
    mmproj: str | None = None,
) -> Iterator[Served]:
    """The whole of it, ready. `model`: a GGUF, the demo's by default. `load`: another way to load a stage. `cluster`: a
    server of its own over the cluster of that one.

    The caller gives the slice store a folder of its own, by XDG_CACHE_HOME.
    """
    settings = replace(settings or HttpSettings(port=0), api_keys=tuple(map(digest_of, keys)))
    with ExitStack() as stack:
        if cluster is not None:
            coordinator, stages, endpoint = cluster.coordinator, cluster.stages, cluster.endpoint
        else:
            coordinator, stages, endpoint = stack.enter_context(
                cluster_of(
                    model, num_stages, num_slots, context_length, max_waiting, load, 1, embeddings, adapters, mmproj
                )
            )
        service = HttpService(settings, lambda: endpoint)
        stack.callback(service.stop)
        url = service.start()
        served = Served(url, service, coordinator, stages, endpoint, num_slots, keys[0] if keys else "")
        wait_until(lambda: served.get("/health").status == 200, READY_S)
        yield served


@contextmanager
def cluster_of(
    model: str = "",
    num_stages: int = 2,
    num_slots: int = 4,
    context_length: int = 512,
    max_waiting: int = 64,
    load: Load | None = None,
    num_threads: int = 1,
    embeddings: bool = False,
    adapters: tuple[AdapterSource, ...] = (),
    mmproj: str | None = None,
) -> Iterator[tuple[CoordinatorService, list[StageService], Endpoint]]:
    """The cluster alone: its coordinator, its stages, and where clients call it."""
    path = model or str(model_path())
    source = resolve(path)
    opened = open_model(source)
    model_hash = opened.hash
    header = read_header(path)
    cuts = [header.num_layers * stage // num_stages for stage in range(num_stages + 1)]
    spec = StageSpec(
        stage=0,
        num_stages=num_stages,
        node="localhost",
        source=source,
        model_hash=model_hash,
        first=0,
        end=0,
        device="CPU",
        context_length=context_length,
        num_slots=num_slots,
        ubatch_size=UBATCH_SIZE,
        num_threads=num_threads,
        num_threads_exclusive=num_threads,
        first_core=None,
        options=GgufOptions("f16", "f16", "auto", embeds=embeddings, adapters=adapters),
    )
    keys = Keys(SECRET).for_stages
    with ExitStack() as stack:
        specs = [replace(spec, stage=stage, first=cuts[stage], end=cuts[stage + 1]) for stage in range(num_stages)]
        stages = [StageService(one, load or load_stage, keys) for one in specs]
        for stage in stages:
            stack.callback(stage.stop)
            stage.start_loading()
        wait_until(lambda: all(stage.progress().phase in ("ready", "failed") for stage in stages), READY_S)
        coordinator = CoordinatorService(
            CoordinatorSpec(
                "demo",
                source,
                model_hash,
                header.architecture,
                context_length,
                num_slots,
                num_stages,
                UBATCH_SIZE,
                max_waiting,
                True,
                "127.0.0.1",
                0,
                pooling=opened.model.pooling,
                embeds=embeddings,
                is_encoder=opened.model.row.is_encoder,
                adapters=tuple(adapter.info for adapter in adapters),
                mmproj=mmproj,
            ),
            Keys(SECRET),
            Listener(SECRET.for_clients),
        )
        stack.callback(coordinator.stop)
        address = coordinator.start()
        loaded = [_loaded(stage) for stage in stages]
        coordinator.wire(1, wire_all(specs, loaded, 1, partial(_wire, stages), ""))
        coordinator.first_token(READY_S)
        yield coordinator, stages, Endpoint(address, SECRET.for_clients)


def _wire(stages: list[StageService], stage: int, wiring: Any) -> str:
    return stages[stage].wire(wiring)


def _loaded(stage: StageService) -> LoadedStage:
    loaded = stage.progress().loaded
    assert loaded is not None, stage.progress().error
    return loaded
