"""K08 to K13: statuses, and an error that is dressed as an answer."""

from __future__ import annotations

from connectors.kit.asgi import outcome
from connectors.kit.cases.tools import withstands
from connectors.kit.fault_server import saying, status
from connectors.kit.registry import case
from connectors.kit.stand import Stand
from connectors.sdk.errors import Busy, NotUnderstood, Refused, SourceError, Unwell
from connectors.sdk.model import Outcome


async def _each(stand: Stand, statuses: tuple[int, ...], become: Outcome, kind: type[SourceError]) -> str:
    said = ""
    for code in statuses:
        said = await withstands(stand, status(code), become, (kind,))
    return f"{', '.join(map(str, statuses))}: {said}"


@case("K08", "401 and 403 are refusals")
async def refused(stand: Stand) -> str:
    return await _each(stand, (401, 403), Outcome.REFUSED, Refused)


@case("K09", "400 is a question that doesn't fit, not an empty answer")
async def not_understood(stand: Stand) -> str:
    return await _each(stand, (400, 422), Outcome.FAILED, NotUnderstood)


@case("K10", "404 is a wrong address, not an empty answer", skippable=True)
async def not_there(stand: Stand) -> str:
    return await _each(stand, (404,), Outcome.FAILED, NotUnderstood)


@case("K11", "429 is too busy")
async def busy(stand: Stand) -> str:
    return await _each(stand, (429,), Outcome.FAILED, Busy)


@case("K12", "5xx is unwell")
async def unwell(stand: Stand) -> str:
    return await _each(stand, (500, 503), Outcome.FAILED, Unwell)


@case("K13", "an error that is dressed as 200")
async def dressed(stand: Stand) -> str:
    return await withstands(stand, saying(outcome("exception", "The module failed.")))
