"""Other forms of the same request: HEAD for GET, and a slash at the end of a FHIR address."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FHIR: Final = "/fhir/R4"


class AskedAs:
    """Pure ASGI middleware. A HEAD is a GET whose body stays here: the same look, the same row, the same headers.

    The path loses one slash at its end below the FHIR base, so nobody is redirected (a redirect would lose the body of
    a POST, and some clients lose the token). What was sent stays in the scope's `raw_path` and in the state as
    `sent_method`: a proof of possession is over the request as the client sent it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = {**scope, "path": _without_slash(scope["path"])}
        asked.setdefault("state", {})["sent_method"] = scope["method"]
        if scope["method"] != "HEAD":
            await self._app(asked, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**asked, "method": "GET"}, receive, without_body)


def _without_slash(path: str) -> str:
    if path.startswith(f"{_FHIR}/") and path.endswith("/"):
        return path[:-1]
    return path
