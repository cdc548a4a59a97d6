"""`/.well-known/security.txt` (RFC 9116): whom to tell of a hole in this gateway, as its settings say.

Made of the running settings at each request, so `Expires` is near (the RFC recommends less than a year): a copy that
somebody kept goes stale by itself, and a gateway that is gone vouches for nobody.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urljoin

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from gateway.api.door import parts_of
from gateway.errors import NotFound
from gateway.store.moments import utc_now

router = APIRouter(include_in_schema=False)
PATH: Final = "/.well-known/security.txt"
LASTS: Final = timedelta(days=90)


@router.get(PATH, response_class=PlainTextResponse)
async def security_txt(request: Request) -> PlainTextResponse:
    """Nobody needs to sign in to say that something is wrong."""
    settings = parts_of(request).settings
    if settings.security_contact is None:
        raise NotFound(
            "Nobody is named here for reports of security holes. Ask the organisation that runs this gateway.",
            rule="route.security-contact",
        )
    return PlainTextResponse(security_text(settings.security_contact, settings.public_url, utc_now()))


def security_text(contact: str, public_url: str, now: datetime) -> str:
    """The file's lines. RFC 9116, section 2.5: Contact and Expires are required. Canonical says where the file is: at
    the root of the host, whatever path the gateway has there (section 3)."""
    fields = {
        "Contact": contact,
        "Expires": f"{(now + LASTS).replace(microsecond=0).isoformat().removesuffix('+00:00')}Z",
        "Preferred-Languages": "en",
        "Canonical": urljoin(public_url, PATH),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())
