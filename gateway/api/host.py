"""Which names the gateway answers to. A name of somebody else's in the Host header means that a browser was led here by
that somebody (DNS rebinding), or that a proxy sends us what isn't ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.http import FHIR_JSON
from gateway.api.outcome import operation_outcome
from gateway.errors import BadRequest

_PROBES: Final = frozenset({"/livez", "/readyz"})
_USUAL_PORTS: Final = {"http": "80", "https": "443"}
_LOOPBACK: Final = ("127.0.0.1", "localhost")


class KnownHosts:
    """Pure ASGI middleware: a request for another name than ours is 400. Probes call by address, and tell nothing."""

    def __init__(self, app: ASGIApp, *, public_url: str, names: frozenset[str]) -> None:
        self._app = app
        self._public_url = public_url
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _PROBES or self._is_ours(scope):
            await self._app(scope, receive, send)
            return
        refusal = BadRequest(
            f"This is not the address of Connect Care: call {self._public_url}.", rule="host.unknown", expression="Host"
        )
        body = operation_outcome(refusal, scope["state"]["request_id"])
        await Response(body, status_code=refusal.status, media_type=FHIR_JSON)(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        """One Host header, and one of our names in it."""
        said = [value for name, value in scope["headers"] if name == b"host"]
        return len(said) == 1 and said[0].decode("latin-1").lower() in self._names


def names_of(public_url: str, more: Iterable[str], *, loopback: bool) -> frozenset[str]:
    """What a Host header may say: the public address's host and port, and what the settings name besides.

    `loopback`: this machine's own names on the same port too. A scheme's usual port may be said or left out.
    """
    address = urlsplit(public_url.lower())
    host = address.netloc.rpartition("@")[2]
    port = str(address.port or _USUAL_PORTS.get(address.scheme, ""))
    hosts = [host.removesuffix(f":{port}"), *(_LOOPBACK if loopback else ())]
    bare = hosts if port == _USUAL_PORTS.get(address.scheme) else []
    return frozenset([*(f"{name}:{port}" for name in hosts), *bare, *(name.lower() for name in more)])
