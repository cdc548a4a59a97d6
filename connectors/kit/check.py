"""The conformance kit: numbered cases against a connector, offline (docs/connector-kit.md defines each).

    results = await check(subject_of("fhir_r4"))

Cases that mostly wait run beside each other; those that keep the processor busy run by themselves. Each has its own
sandbox, servers and connector.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from connectors.kit.cases import ALL
from connectors.kit.registry import Case, Fell
from connectors.kit.stand import standing
from connectors.kit.subject import Subject, subject_of
from connectors.sdk import shape
from connectors.sdk.errors import ConfigurationError

__all__ = ["CaseResult", "Subject", "check", "play", "subject_of"]

_AT_ONCE = 16
_LONGEST = 60.0


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case. `said` is what was seen, or why it fell or was skipped; no identifier stands in it."""

    number: str
    title: str
    passed: bool
    said: str
    paragraph: str
    skipped: bool = False


async def check(subject: Subject, only: Collection[str] = ()) -> list[CaseResult]:
    """The result of every case, or of those in `only`, in order.

    Raises ConfigurationError where the connector can't be built at all, or `only` names no case.
    """
    if unknown := sorted(set(only) - ALL.keys()):
        raise ConfigurationError(f"{', '.join(unknown)}: no such case. There are {min(ALL)} to {max(ALL)}.")
    shape.prepare()
    async with standing(subject):
        pass
    chosen = [one for one in ALL.values() if not only or one.number in only]
    room = asyncio.Semaphore(_AT_ONCE)

    async def beside(one: Case) -> CaseResult:
        async with room:
            return await play(subject, one)

    results = await asyncio.gather(*(beside(one) for one in chosen if not one.alone))
    results += [await play(subject, one) for one in chosen if one.alone]
    return sorted(results, key=lambda result: result.number)


async def play(subject: Subject, one: Case) -> CaseResult:
    """Play one case on a stand of its own, or skip it where the manifest says why."""
    if (reason := subject.kit.skip.get(one.number)) is not None:
        return CaseResult(one.number, one.title, True, f"skipped: {reason}", one.paragraph, skipped=True)
    try:
        async with asyncio.timeout(_LONGEST), standing(subject) as stand:
            said, passed = await one.play(stand), True
    except Fell as fell:
        said, passed = str(fell), False
    except TimeoutError:
        said, passed = f"the case did not end within {_LONGEST:g} s", False
    except ConfigurationError:
        raise
    except Exception as error:  # an answer so odd that the case can't be judged is no pass
        said, passed = f"what it returned can't be judged: {type(error).__name__}", False
    return CaseResult(one.number, one.title, passed, said, one.paragraph)
