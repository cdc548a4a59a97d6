"""K46 to K48: what stays out of logs, errors and reprs. A source that repeats all it was sent is asked on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from connectors.kit import bodies
from connectors.kit.cases.tools import all_but_first
from connectors.kit.exchange import Exchange, Fault, Response
from connectors.kit.fault_server import JSON_TYPE, blackhole, changed, redirect, reset, truncate, well
from connectors.kit.overheard import Overheard, overhear
from connectors.kit.registry import case, require
from connectors.kit.stand import SECRET, SHORT, Settled, Stand

_WORDS: Final = "kit-words-of-the-source-5d20"
_TELLING: Final = ("authorization", "cookie", "api-key", "apikey", "x-key", "token")


def _repeating(code: int, kind: str = "application/fhir+json") -> Fault:
    """An answer that says all of the question again, as debugging pages do."""

    async def play(exchange: Exchange) -> None:
        request = exchange.request
        said = " ".join((_WORDS, request.target, *(f"{name}={value}" for name, value in request.headers)))
        body = bodies.written(
            {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "diagnostics": said}]}
        )
        echo = "".join(letter for letter in said if letter.isprintable() and letter.isascii())
        await exchange.reply(Response(code, (("content-type", kind), ("x-echo", echo)), body + request.body))

    return play


def _away(exchange: Exchange) -> Response:
    location = f"{exchange.elsewhere}{exchange.request.target}#{_WORDS}"
    return Response(302, (*JSON_TYPE, ("location", location)), _WORDS.encode())


async def _leading_away(exchange: Exchange) -> None:
    await exchange.reply(_away(exchange))


def _faults() -> Iterator[tuple[Fault, float]]:
    """Every way that an error's text might come about, and the seconds to ask with."""
    for code in (200, 400, 401, 403, 404, 409, 429, 500):
        yield _repeating(code), 5.0
    yield _repeating(200, f"text/{_WORDS}"), 5.0
    for fault in (
        well,
        reset,
        truncate(),
        _leading_away,
        redirect(),
        changed(bodies.corrupt),
        changed(bodies.doubled_key),
    ):
        yield fault, 5.0
    yield blackhole, SHORT


async def _everything_said(stand: Stand) -> Overheard:
    """What was logged, printed and put into errors while the source misbehaved in every way."""
    with overhear() as heard:
        before = await stand.well()
        for fault, seconds in _faults():
            for played in (fault, all_but_first(before, fault)):
                stand.server.fault = played
                heard.note("an error or an answer", _texts(await stand.ask(seconds=seconds)))
        heard.note("the connector's repr", [repr(stand.connector), str(stand.connector)])
    stand.server.fault = well
    return heard


def _texts(settled: Settled) -> list[str]:
    """Every text that a log, an operator or a caller may get to see of one question."""
    if settled.answer is not None:
        answer = settled.answer
        said = [answer.told, answer.detail, repr(answer.gaps), *(line.reason for line in answer.traced)]
        return [*said, *(text for warning in answer.warnings for text in (warning.code, warning.text))]
    error = settled.error
    return (
        [str(error), repr(error), *map(repr, error.args), error.told, *getattr(error, "__notes__", [])] if error else []
    )


@case("K46", "no NHS number in logs, errors or reprs")
async def no_number(stand: Stand) -> str:
    heard = await _everything_said(stand)
    kit = stand.subject.kit
    spaced = f"{kit.patient[:3]} {kit.patient[3:6]} {kit.patient[6:]}"
    where = heard.where(kit.patient) or heard.where(spaced)
    require(not where, f"the NHS number stands in {where}")
    return f"{len(heard.said)} texts, none with the NHS number"


@case("K47", "no secret in logs, errors or reprs", skippable=True)
async def no_secret(stand: Stand) -> str:
    heard = await _everything_said(stand)
    secrets = _secrets(stand)
    require(
        secrets, "nothing secret went out, so nothing could leak; give kit.settings an auth with ${secret}, or skip"
    )
    for secret in secrets:
        where = heard.where(secret)
        require(not where, f"a secret stands in {where}")
    return f"{len(heard.said)} texts, none with any of {len(secrets)} secrets that went out"


def _secrets(stand: Stand) -> set[str]:
    """What proved to the source who we are: the kit's secret where it was used, and what such headers carried."""
    requests = [*stand.server.requests, *stand.server.beside]
    values = {value for one in requests for name, value in one.headers if any(word in name for word in _TELLING)}
    found = {part for value in values for part in value.split() if len(part) > len("Bearer")}
    used = any(SECRET in value for value in values) or any(SECRET.encode() in one.body for one in requests)
    return found | ({SECRET} if used else set())


@case("K48", "none of the source's own words in logs or errors")
async def no_words(stand: Stand) -> str:
    heard = await _everything_said(stand)
    where = heard.where(_WORDS)
    require(not where, f"what the source wrote stands in {where}: real servers write patients into their errors")
    marks = frozenset().union(*(bodies.marks(text.encode()) for _, text in heard.said))
    require(not marks, f"{len(marks)} clinical texts of the source were logged or told")
    return f"{len(heard.said)} texts, none with a word of the source"
