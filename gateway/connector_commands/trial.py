"""`connector try`: one real question to one organisation, for whoever connects it.

It is an access to a patient's data by a named person, so it obeys what every access obeys: the intent is on the disk
before anybody is asked, a patient who has opted out isn't asked about, and what came of it is on the disk before a word
of it is printed. It needs the gateway's own journal, for that is where the opt-outs are. Nothing clinical is printed or
kept: counts, sections, gaps and times are.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from connectors.sdk.connector import Connector, connect
from connectors.sdk.model import Answer, Ask, AskedBy, Outcome
from gateway.audit.journal import Journal
from gateway.audit.row import Alarm, Kind, Row, SourceLine
from gateway.audit.scrub import scrub
from gateway.caller.model import KnownCaller
from gateway.choice.sharing import SharingChoices
from gateway.connector_commands.refusals import CannotDo
from gateway.connector_commands.wish import DOOR, Question, Wish, question_of
from gateway.errors import GatewayError
from gateway.fan_out import FanOut
from gateway.guard import guard
from gateway.policy.decide import Policy
from gateway.release import SUPPORTING
from gateway.sealed import Sealer, load_master_key
from gateway.settings import Settings, load_settings
from gateway.store.folder import DATABASE
from gateway.store.interface import Store, StoreUnusable
from gateway.store.open import open_for_writing


@dataclass(slots=True)
class Tried:
    """What came: the Answer as the guard left it, and the journal's rows of the intent and of the end."""

    question: Question
    answer: Answer
    alarms: list[Alarm]
    intent: int
    row: int = 0

    @property
    def by_section(self) -> Counter[str]:
        """How many items each section has; `supporting` counts those that only explain another."""
        return Counter(item.section.value if item.section else SUPPORTING for item in self.answer.items)

    @property
    def by_type(self) -> Counter[str]:
        """How many items each resource type has."""
        return Counter(item.type for item in self.answer.items)

    @property
    def has_gaps(self) -> bool:
        """True where something that was asked for is missing, or isn't the patient's. No record is an answer."""
        return self.answer.outcome.leaves_gap or bool(self.answer.gaps or self.alarms)

    @property
    def is_whole(self) -> bool:
        """True where every section that the organisation offers was asked for and came whole."""
        asked_all = self.question.organisation.sections <= self.question.sections
        return asked_all and self.answer.outcome is Outcome.ANSWERED and not (self.answer.gaps or self.alarms)


def run(wish: Wish) -> Tried:
    """Ask. Raises CannotDo with the reason where nobody may be asked, or nothing may be told."""
    settings = load_settings(wish.config)
    policy = Policy.load(settings.policies_dir, settings.label_files)
    return asyncio.run(_run(question_of(wish, settings, policy), settings, policy))


async def _run(question: Question, settings: Settings, policy: Policy) -> Tried:
    sealer = Sealer(load_master_key(settings.key_file, closed=not settings.is_demo))
    connector = connect(question.organisation)
    try:
        async with _opened(settings, sealer) as store:
            journal = Journal(store, sealer, lambda: policy.hash, _now)
            return await _tried(
                question, connector, journal, SharingChoices(store, sealer, journal, policy.may_caller, _now)
            )
    except GatewayError as error:
        raise CannotDo(error.told) from error
    finally:
        await connector.aclose()


@asynccontextmanager
async def _opened(settings: Settings, sealer: Sealer) -> AsyncIterator[Store]:
    """The gateway's own store. No journal, no question: and a new one wouldn't know who has opted out."""
    if settings.database is None and not (settings.data_dir / "store" / DATABASE).exists():
        raise CannotDo(
            f"There is no journal in {settings.data_dir}, so nobody is asked. Name the settings of the gateway that "
            "has one with --config, or start that gateway once."
        )
    try:
        store = open_for_writing(settings, clock=_now)
    except StoreUnusable as error:
        raise CannotDo(
            f"The journal can't be written, so nobody is asked. {error} For connector try it must be the gateway's own "
            "store: another one doesn't know who has opted out."
        ) from error
    try:
        await store.hold_to_key(sealer.fingerprint(), sealer.opens)
        yield store
    except StoreUnusable as error:
        raise CannotDo(str(error)) from error
    finally:
        await store.aclose()


async def _tried(question: Question, connector: Connector, journal: Journal, sharing: SharingChoices) -> Tried:
    """Intent, choice, question, guard, choice again, row: in that order. Raises GatewayError; it's a row by then."""
    request_id = str(uuid.uuid4())

    def row(kind: Kind, intent: int | None = None, status: int = 0, alarms: Iterable[Alarm] = ()) -> Row:
        return journal.row(
            kind,
            question.who,
            request_id,
            DOOR,
            nhs_number=question.nhs_number,
            sections=question.sections,
            subject=question.about,
            detail=question.reason,
            intent=intent,
            status=status,
            alarms=alarms,
        )

    intent = await journal.append(row(Kind.INTENT))
    try:
        await sharing.require_opted_in(question.nhs_number)
        answer, alarms = await _ask(question, connector, request_id)
        await sharing.require_opted_in(question.nhs_number)
    except Exception as error:
        refusal = error if isinstance(error, GatewayError) else _fault(error)
        await journal.refuse(
            refusal,
            question.who,
            request_id,
            DOOR,
            nhs_number=question.nhs_number,
            subject=question.about,
            intent=intent,
        )
        raise refusal from error
    tried = Tried(question, answer, alarms, intent)
    ended = msgspec.structs.replace(
        row(Kind.SOURCE_TRIED, intent, 200, alarms),
        sources={question.organisation.ods: _line(answer)},
        seen=dict(tried.by_section),
    )
    tried.row = await journal.append(ended)
    return tried


def _fault(error: Exception) -> GatewayError:
    """Our own fault: a row, and a sentence without what the error may quote."""
    kind = type(error).__name__
    return GatewayError(
        f"Something went wrong here ({kind}). Nothing of an answer is shown.", rule="fault", detail=kind
    )


def _line(answer: Answer) -> SourceLine:
    return SourceLine(
        outcome=answer.outcome.value,
        gaps={section.value: gap.value for section, gap in answer.gaps.items()},
        took_ms=round(answer.took_ms, 1),
        detail=scrub(answer.detail)[:500],
    )


async def _ask(question: Question, connector: Connector, request_id: str) -> tuple[Answer, list[Alarm]]:
    """One question, by the gateway's own fan-out and past its own guard."""
    source = question.organisation.ods
    deadline = asyncio.get_running_loop().time() + question.seconds
    asks = {source: Ask(question.nhs_number, question.sections, _asked_by(question.who), deadline, request_id)}
    answers = await FanOut({source: connector}).ask(asks)
    guarded = guard(answers, asks, lambda _: (question.organisation.address or "").rstrip("/"))
    return guarded.answers[0], guarded.alarms


def _asked_by(who: KnownCaller) -> AskedBy:
    return AskedBy(
        user_id=who.user_id,
        name=who.name,
        role_profile_id=who.role_profile_id,
        job_role_code=who.job_role_code,
        role=who.role,
        organisation=who.organisation,
        organisation_name=who.organisation_name,
        purpose=who.purpose,
    )


def _now() -> datetime:
    return datetime.now(UTC)
