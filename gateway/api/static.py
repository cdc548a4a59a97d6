"""`/static`: the pages' style, script and icons. The same for everybody, and kept by browsers: nothing in them is of a
patient."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response

from gateway.errors import NotFound
from gateway.web.assets import ASSETS, VERSION

router = APIRouter(prefix="/static", include_in_schema=False)
_FOR_EVER: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@router.get("/{version}/{name:path}")
async def asset(version: str, name: str) -> Response:
    """One file. The version is part of its address; an old one is gone."""
    if version != VERSION or name not in ASSETS:
        raise NotFound("There is no such file here.", rule="static.unknown")
    found = ASSETS[name]
    return Response(found.body, headers=_FOR_EVER, media_type=found.media_type)
