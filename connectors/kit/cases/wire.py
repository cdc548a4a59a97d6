"""K14 to K25: what a network and a body can do."""

from __future__ import annotations

from typing import Final

from connectors.kit import bodies
from connectors.kit.cases.tools import keys, nothing_lost_silently, withstands
from connectors.kit.exchange import Exchange
from connectors.kit.fault_server import (
    blackhole,
    bomb,
    changed,
    drip,
    latency,
    oversized,
    reset,
    saying,
    truncate,
    well,
)
from connectors.kit.registry import case, require
from connectors.kit.stand import SHORT, Stand
from connectors.sdk.errors import TooMuch, Unreachable, Unusable
from connectors.sdk.model import Outcome

_SLOW: Final = 0.5
_DRIP: Final = 0.02
_OVERSIZE: Final = 64 * 1024 * 1024
_SWALLOWED: Final = 48 * 1024 * 1024
"""What may go out before the other side's hanging up is noticed: the cap of 32 MiB and what lies in buffers."""


@case("K14", "slow, and in time")
async def slow(stand: Stand) -> str:
    before = await stand.well()
    stand.server.fault = latency(_SLOW)
    now = await stand.ask()
    said = now.in_words
    require(now.outcome is before.outcome, f"{said}, though there was time enough")
    for section in (*sorted(stand.subject.sections), None):
        require(keys(now, section) == keys(before, section), f"{said}, and less than at once")
    return f"{said} from calls of {_SLOW:g} s"


@case("K15", "never an answer")
async def hung(stand: Stand) -> str:
    return await withstands(stand, blackhole, Outcome.TIMED_OUT, seconds=SHORT)


@case("K16", "a byte at a time")
async def dripping(stand: Stand) -> str:
    return await withstands(stand, drip(_DRIP), Outcome.TIMED_OUT, seconds=SHORT)


@case("K17", "cut off in the middle")
async def cut_off(stand: Stand) -> str:
    said = await withstands(stand, truncate())
    await withstands(stand, truncate(chunked=True))
    return said


@case("K18", "the connection breaks")
async def broken_off(stand: Stand) -> str:
    return await withstands(stand, reset, Outcome.FAILED, (Unreachable,))


@case("K19", "not JSON any more")
async def malformed(stand: Stand) -> str:
    await withstands(stand, saying(b""), Outcome.FAILED, (Unusable,))
    return await withstands(stand, changed(bodies.corrupt), Outcome.FAILED, (Unusable,))


@case("K20", "more bytes than anybody could need", alone=True)
async def too_large(stand: Stand) -> str:
    taken: list[int] = []

    async def pour(exchange: Exchange) -> None:
        place = len(taken)
        taken.append(0)

        def note(count: int) -> None:
            taken[place] += count

        await oversized(_OVERSIZE, note)(exchange)

    said = await withstands(stand, pour, Outcome.FAILED, (TooMuch,))
    require(max(taken) < _SWALLOWED, f"took {max(taken) >> 20} MiB of one body")
    return f"{said}; at most {max(taken) >> 20} MiB of one body"


@case("K21", "few bytes that open to many", alone=True)
async def opens_wide(stand: Stand) -> str:
    return await withstands(stand, bomb, Outcome.FAILED, (TooMuch,))


@case("K22", "the wrong content type")
async def mislabelled(stand: Stand) -> str:
    async def as_html(exchange: Exchange) -> None:
        response = await exchange.well()
        await exchange.reply(response.with_header("content-type", "text/html; charset=utf-8"))

    page = b"<!doctype html><title>Sign in</title><p>Your session has expired.</p>"
    await withstands(stand, saying(page, content_type="text/html"), Outcome.FAILED, (Unusable,))
    return await withstands(stand, as_html, Outcome.FAILED, (Unusable,))


@case("K23", "deeper than any record", alone=True)
async def deep(stand: Stand) -> str:
    said = await withstands(stand, saying(bodies.deep()), Outcome.FAILED, (Unusable,))
    before = await stand.well()
    stand.server.fault = changed(bodies.nested)
    now = await stand.ask()
    nothing_lost_silently(stand, before, now)
    deepest = [item for item in now.items if b"urn:kit:deep" in bodies.written(item.resource)]
    require(not deepest, f"passed on {len(deepest)} items that are nested hundreds of levels deep")
    stand.server.fault = well
    return said


@case("K24", "more values than any record", alone=True)
async def wide(stand: Stand) -> str:
    return await withstands(stand, saying(bodies.wide()), Outcome.FAILED, (Unusable,))


@case("K25", "one key twice")
async def doubled(stand: Stand) -> str:
    return await withstands(stand, changed(bodies.doubled_key), Outcome.FAILED, (Unusable,))
