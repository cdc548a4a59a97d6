"""K41 to K45: how a connector treats the system that it asks, and the questions that it is asked at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import cycle

from connectors.kit import bodies
from connectors.kit.exchange import Exchange, Fault
from connectors.kit.fault_server import reset, status, well
from connectors.kit.registry import case, require
from connectors.kit.stand import GRACE, PLENTY, Settled, Stand
from connectors.sdk.model import Outcome


def _most_often(settled: Settled, method: str | None = None) -> int:
    """How often the same question was put, at the most."""
    counted = Counter(request.key for request in settled.requests if method in (None, request.method))
    return max(counted.values(), default=0)


async def _asked(stand: Stand, fault: Fault) -> Settled:
    stand.server.fault = fault
    settled = await stand.ask()
    require(settled.requests, "asked nothing")
    return settled


@case("K41", "a refused question isn't put again")
async def not_again(stand: Stand) -> str:
    for code in (400, 401, 403, 404, 429):
        times = _most_often(await _asked(stand, status(code)))
        require(times == 1, f"put the same question {times} times after {code}")
    return "one call for each question, after 400, 401, 403, 404 and 429"


@case("K42", "at most one retry")
async def one_retry(stand: Stand) -> str:
    most = 0
    for fault, what in ((status(500), "500"), (status(503), "503"), (reset, "a broken connection")):
        settled = await _asked(stand, fault)
        times = _most_often(settled)
        require(times <= 2, f"put the same question {times} times after {what}")
        posts = _most_often(settled, "POST")
        require(posts <= 1, f"put the same POST {posts} times after {what}: the source may have acted on the first")
        most = max(most, times)
    return f"at most {most} calls for one question"


@case("K43", "calls are few, and counted")
async def counted(stand: Stand) -> str:
    settled = await stand.ask()
    require(settled.answer is not None, settled.in_words)
    made, said = len(settled.requests), settled.answer.calls if settled.answer else 0
    require(said == made, f"made {made} calls and counted {said}")
    most = stand.subject.kit.calls
    require(made <= most, f"made {made} calls for one question, where the manifest allows {most}")
    return f"{made} calls, of {most} at the most"


@case("K44", "closed, it holds no connection")
async def closes(stand: Stand) -> str:
    await stand.well()
    held = stand.server.open
    await stand.connector.aclose()
    gone = await stand.server.settled(GRACE, connections=True)
    require(gone, f"still holds {stand.server.open} connections after aclose")
    await stand.connector.aclose()
    return f"{held} connections before, none after; a second aclose does no harm"


@case("K45", "many questions at once")
async def at_once(stand: Stand) -> str:
    kit = stand.subject.kit
    alone = {number: _contents(await stand.well(number)) for number in (kit.patient, kit.other)}
    pauses = cycle((0.0, 0.02, 0.005, 0.03))

    async def uneven(exchange: Exchange) -> None:
        if not await exchange.gone(next(pauses)):
            await well(exchange)

    stand.server.fault = uneven
    numbers = [kit.patient, kit.other] * 3
    tasks = [stand.start(number, seconds=PLENTY) for number in numbers]
    answers = await asyncio.gather(*tasks)
    for number, answer in zip(numbers, answers, strict=True):
        settled = Settled(answer, None, 0.0, [])
        require(settled.outcome is Outcome.ANSWERED, f"{settled.in_words} when asked with others at once")
        require(_contents(settled) == alone[number], "brought something else than when it was asked alone")
    calls = {answer.calls for answer, number in zip(answers, numbers, strict=True) if number == kit.patient}
    require(len(calls) == 1, "counted the calls of one question with those of another")
    return f"{len(numbers)} questions about two people at once, each as when it was asked alone"


def _contents(settled: Settled) -> Counter[tuple[str, str, bytes]]:
    return Counter((item.type, item.original_id, bodies.written(item.resource)) for item in settled.items)
