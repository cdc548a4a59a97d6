"""Pure ASGI middleware: each request is counted and timed by the template of its door, never by its address."""

from __future__ import annotations

from time import perf_counter
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.observe import spans
from gateway.observe.meters import ANSWER_SECONDS, ANSWERS

NO_ROUTE: Final = "(no route)"
NO_ANSWER: Final = "none"


class Watched:
    """Stands where the scope that it passes on is the one that the router writes its route into."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, seconds = perf_counter(), 0, 0.0

        async def watching(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], perf_counter() - began
            await send(message)

        span = spans.begin("request", spans.of_request(scope["state"]["request_id"]), is_first=True)
        error: BaseException | None = None
        try:
            await self._app(scope, receive, watching)
        except BaseException as raised:
            error = raised
            raise
        finally:
            door = _door(scope)
            ANSWERS.labels(door, f"{status // 100}xx" if status else NO_ANSWER).inc()
            ANSWER_SECONDS.labels(door).observe(seconds or perf_counter() - began)
            if span is not None:
                span.end(name=door, attributes={spans.DOOR: door, spans.STATUS: status}, error=error)


def _door(scope: Scope) -> str:
    """The method and the route's template. A method that the route doesn't have is a client's word, and isn't said."""
    route = scope.get("route")
    template, methods = getattr(route, "path", None), getattr(route, "methods", None) or ()
    if template is None:
        return NO_ROUTE
    return f"{scope['method']} {template}" if scope["method"] in methods else f"(other) {template}"
