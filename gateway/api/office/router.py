"""All pages of the office, and its own address: the first place there that somebody may go to."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api.office import audit, calls, cases, policy, reports
from gateway.api.office.visit import Visit, visited
from gateway.api.pages import HOME, around, sent_to

OFFICE: Final = "/office"
router = APIRouter(include_in_schema=False)
for each in (audit.router, calls.router, cases.router, policy.router, reports.router):
    router.include_router(each)


@router.get(OFFICE)
async def office(request: Request) -> Response:
    """Cases for a privacy officer, calls for a practice; and home for whoever has no place here."""
    return await visited(request, _first)


async def _first(visit: Visit) -> Response:
    places = [place.href for place in around(visit.request, visit.who).places if place.href.startswith(f"{OFFICE}/")]
    return sent_to(next(reversed(places), HOME))
