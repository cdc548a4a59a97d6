"""Which parts a request is served with: those that were in force when it began, to its end."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class OneGeneration:
    """Pure ASGI middleware, around everything: `request.state.parts` are the parts. An entry of a batch is served with
    those of the batch."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "parts" in scope.setdefault("state", {}):
            await self._app(scope, receive, send)
            return
        with scope["app"].state.generations.hold() as parts:
            scope["state"]["parts"] = parts
            await self._app(scope, receive, send)
