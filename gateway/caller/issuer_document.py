"""An issuer's discovery document (OpenID Connect Discovery 1.0, section 4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.caller.compact import Malformed, strict_json
from gateway.caller.jwk import refuse_demo
from gateway.caller.settings import IssuerSettings

Fetch = Callable[[str], Awaitable[bytes]]
"""One bounded GET without redirects: at most `MOST_BYTES`, raising whatever it likes where it fails."""

MOST_BYTES: Final = 64 * 1024
_PATH: Final = "/.well-known/openid-configuration"


async def discovered(settings: IssuerSettings, fetch: Fetch, *, allow_demo: bool) -> dict[str, Any]:
    """The document. Raises Malformed where it isn't this issuer's, and whatever `fetch` raises."""
    document: Any = strict_json(await bounded(fetch, settings.issuer.rstrip("/") + _PATH))
    if not isinstance(document, dict) or document.get("issuer") != settings.issuer:
        raise Malformed("the discovery document is another issuer's")
    refuse_demo(document, allow_demo=allow_demo)
    return document


async def bounded(fetch: Fetch, url: str) -> bytes:
    """The body. Raises Malformed where it is too long, whoever should have cut it."""
    body = await fetch(url)
    if len(body) > MOST_BYTES:
        raise Malformed("the issuer sent more than 64 KiB")
    return body
