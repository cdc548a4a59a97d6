"""K26 to K28: links and redirects, which are a source's own wish, and never followed away from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from connectors.kit import bodies
from connectors.kit.cases.tools import withstands
from connectors.kit.exchange import Exchange, Fault
from connectors.kit.fault_server import redirect
from connectors.kit.registry import case, require
from connectors.kit.stand import Settled, Stand
from connectors.sdk.model import Outcome

MOST_PAGES: Final = 60
_MARK: Final = "kit-page="


def _pages(stand: Stand, following: Callable[[Exchange, int], str | None], seen: Counter[str]) -> Fault:
    """Each answer with a list of items has a next link to `following(exchange, number)`; `seen` counts its pages."""

    async def play(exchange: Exchange) -> None:
        target, _, number = exchange.request.target.partition(_MARK)
        asked = exchange.request.about({exchange.request.target: target[:-1]}) if number else exchange.request
        response = await exchange.backend(asked)
        document = bodies.parsed(response.body)
        if document is not None and bodies.is_paged(document):
            seen[asked.target] += 1
            bodies.link_on(document, following(exchange, int(number or 0) + 1))
            response = response.with_body(bodies.written(document))
        await exchange.reply(response)

    return play


def _not_whole(settled: Settled, what: str) -> None:
    require(settled.outcome is not Outcome.ANSWERED, f"{settled.in_words}, though {what}")
    require(settled.outcome is not Outcome.NO_RECORD, f"{settled.in_words}, though {what}")


@case("K26", "pages without end", skippable=True)
async def endless(stand: Stand) -> str:
    seen: Counter[str] = Counter()

    def onward(exchange: Exchange, number: int) -> str | None:
        target = exchange.request.target.partition(_MARK)[0].rstrip("?&")
        joint = "&" if "?" in target else "?"
        return f"{stand.server.origin}{target}{joint}{_MARK}{number}" if number <= MOST_PAGES else None

    stand.server.fault = _pages(stand, onward, seen)
    settled = await stand.ask()
    require(seen, "no answer has a list that could have a next page; skip this case and say so")
    most = max(seen.values())
    require(most <= MOST_PAGES, f"read {most} pages of one search, and would have read on")
    _not_whole(settled, "the pages had no end")
    stand.server.fault = _pages(stand, lambda exchange, _: stand.server.origin + exchange.request.target, Counter())
    circle = await stand.ask()
    again = max(Counter(request.key for request in circle.requests).values())
    require(again <= 2, f"read the same page {again} times, since its next link leads to itself")
    _not_whole(circle, "the pages went in a circle")
    return f"{settled.in_words} after {most} pages of one search, and {circle.in_words} in a circle"


@case("K27", "a next link that leads away", skippable=True)
async def astray(stand: Stand) -> str:
    said = ""
    for base in (stand.elsewhere.origin + stand.subject.base_path, f"{stand.server.origin}/kit-outside"):
        seen: Counter[str] = Counter()

        def away(exchange: Exchange, _: int, base: str = base) -> str:
            return f"{base}/{exchange.request.path.rpartition('/')[2]}?page=2"

        stand.server.fault = _pages(stand, away, seen)
        settled = await stand.ask()
        require(seen, "no answer has a list that could have a next page; skip this case and say so")
        _nobody_reached(stand)
        _not_whole(settled, "the next page lay outside the source")
        said = settled.in_words
    return said


@case("K28", "a redirect")
async def redirected(stand: Stand) -> str:
    said = ""
    for code in (302, 307):
        said = await withstands(stand, redirect(code))
        _nobody_reached(stand)
    return said


def _nobody_reached(stand: Stand) -> None:
    require(not stand.elsewhere.requests, "went where the source led it: to another origin, with whatever it carried")
    outside = [request for request in stand.server.beside if request.path.startswith("/kit-outside")]
    require(not outside, "went where the source led it: out of the source's own base path")
