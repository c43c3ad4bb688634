"""What Prometheus asks for."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from cluster.http.connection import connection_of
from cluster.http.errors import refused
from cluster.http.metrics import CONTENT_TYPE
from cluster.http.routes.route import At, get
from cluster.http.server import Server
from cluster.http.watching.collector import ClusterCollector
from cluster.http.watching.llama_names import LlamaNames


def metrics_routes(server: Server) -> Iterator[At]:
    cluster = ClusterCollector()
    server.metrics.register(cluster)
    if server.settings.metrics_aliases:
        server.metrics.register(LlamaNames(server.metrics, cluster))

    async def metrics(request: Request) -> Response:
        if not server.settings.metrics:
            raise refused(501, "not_supported_error", "metrics: they are off; start with --metrics", "not_supported")
        cluster.seen = await server.watch.look()
        server.metrics.connections(len(connection_of(request.scope).connections))
        return Response(server.metrics.text(), headers={"content-type": CONTENT_TYPE})

    yield get("/metrics", metrics)
