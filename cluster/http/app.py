"""The application: which path leads where. Pure of sockets; `service` serves it."""

from __future__ import annotations

from dataclasses import replace

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.http.doors import Doors
from cluster.http.errors import refused
from cluster.http.exchange import Exchange
from cluster.http.faces.envelopes import openai_error
from cluster.http.faces.face import SpelledError
from cluster.http.keys import ALWAYS_PUBLIC, ApiKeys
from cluster.http.origins import Origins
from cluster.http.routes.page import page_files, public_paths
from cluster.http.routes.registry import routes_of
from cluster.http.server import Server


def application(server: Server) -> ASGIApp:
    """All of it."""
    by_path: dict[str, dict[str, ASGIApp]] = {}
    errors: dict[str, SpelledError] = {}
    page = page_files(server.settings)
    for at in routes_of(server, page):
        by_path.setdefault(at.path, {})[at.method] = at.app
        errors[at.path] = at.error
    # The router takes the first that fits: a path of its own comes before a pattern that has it, too.
    paths = sorted(by_path, key=lambda path: "{" in path)
    router = Router(
        [Route(path, _ByMethod(path, by_path[path], errors[path])) for path in paths],
        redirect_slashes=False,
        default=_not_found,
    )
    keys = ApiKeys(server.settings.api_keys)
    origins = Origins(server.settings.cors, server.settings.host)
    return Doors(router, keys, origins, server.metrics, ALWAYS_PUBLIC | public_paths(page), errors)


class _ByMethod:
    """One path. HEAD is as good as GET everywhere, since clients ask it first."""

    def __init__(self, path: str, apps: dict[str, ASGIApp], error: SpelledError) -> None:
        self._path = path
        self._error = error
        self._apps = apps if "GET" not in apps else {"HEAD": apps["GET"], **apps}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["pattern"] = self._path
        app = self._apps.get(scope["method"])
        if app is not None:
            await app(scope, receive, send)
            return
        allowed = ", ".join(self._apps)
        problem = refused(405, "invalid_request_error", f"method: {scope['method'][:20]}; send {allowed}").problem
        exchange: Exchange = scope["state"]["exchange"]
        problem = replace(problem, request_id=exchange.request_id)
        await exchange.reply_problem(problem, self._error(problem), {"allow": allowed})


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    problem = refused(404, "not_found_error", "path: nothing is served here; see docs/http.md", "not_found").problem
    exchange: Exchange = scope["state"]["exchange"]
    await exchange.reply_problem(problem, openai_error(problem))
