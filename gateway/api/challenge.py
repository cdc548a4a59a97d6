"""`WWW-Authenticate`: how to come in, told with every 401.

Sources: RFC 6750, section 3 (Bearer and its errors); RFC 9449, section 7.1 (DPoP, `algs`); RFC 9728, section 5.1
(`resource_metadata`). The challenge of the scheme that was used comes first, and carries the error.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from gateway.caller.dpop import ALGORITHMS
from gateway.settings import Settings

FHIR_PATH: Final = "/fhir/R4"
METADATA: Final = "/.well-known/oauth-protected-resource"
HEADER: Final = "WWW-Authenticate"
_BEARER: Final = "Bearer"
_DPOP: Final = "DPoP"


def challenges(own: str, request: Request, settings: Settings) -> str:
    """All challenges, from the refusal's own one: `Bearer`, or `Bearer error="…"` with whatever else it has to say."""
    schemes = _schemes(settings)
    params = own.partition(" ")[2]
    used = next((name for name in schemes if _uses(request, name)), schemes[0])
    shared = f'resource_metadata="{metadata_address(settings.public_url)}"'
    return ", ".join(
        f"{name} {', '.join(filter(None, (params if name == used else '', _of(name), shared)))}"
        for name in sorted(schemes, key=lambda name: name != used)
    )


def metadata_address(public_url: str) -> str:
    """Of the FHIR API's metadata: the well-known path stands between host and path (RFC 9728, section 3.1)."""
    base = urlsplit(public_url.rstrip("/"))
    return f"{base.scheme}://{base.netloc}{METADATA}{base.path}{FHIR_PATH}"


def _schemes(settings: Settings) -> list[str]:
    """Without a proxy that hands on certificates no bearer token is bound to anything."""
    if settings.sender_must_prove and not settings.certificate_proxies:
        return [_DPOP]
    return [_BEARER, _DPOP]


def _uses(request: Request, scheme: str) -> bool:
    return request.headers.get("authorization", "").lower().startswith(f"{scheme.lower()} ")


def _of(scheme: str) -> str:
    return f'algs="{" ".join(ALGORITHMS)}"' if scheme == _DPOP else ""
