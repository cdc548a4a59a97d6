"""Finding a person whose NHS number nobody knows, on one screen. It shows who somebody is, and nothing of any record.

    1 caller    who is asking, as for a record
    2 intent    the journal durably holds that somebody is sought: who asks, and a keyed tag of the question, no name
    3 policy    may this role look for people, and does the application's token let it search Patients?
    4 register  the national register is asked, once, by the deadline
    5 check     one person, whose number holds, whose details are those that were asked for, and open
    6 choice    who has opted out of Connect Care isn't disclosed by it: the answer is the one for nobody
    7 release   in one transaction: the choice again, and the row that says who was found; then the bytes

One person or none: where several fit nobody guesses, and none of them is listed. That nobody fits, that the person's
details are restricted, and that they opted out are told in the same words (docs/decisions/0007-the-register.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from connectors.sdk.errors import SourceError
from connectors.sdk.model import Found, Outcome, PersonSought, Resource, Section
from gateway.audit.row import PATIENT, Alarm, Kind, Row, SourceLine
from gateway.caller.context import require_in_context
from gateway.choice.may import May, demand
from gateway.errors import AuditUnavailable, GatewayError, NobodyAnswered, NotSupported, OptedOut, Refusal
from gateway.fair_use.count import Use
from gateway.fan_out import NoFinder, TurnedAway
from gateway.locate import asked_by
from gateway.register.fits import Misfit, fitting
from gateway.register.standing import Hold

if TYPE_CHECKING:
    from connectors.sdk.organisations import Organisation
    from gateway.audit.journal import Journal
    from gateway.caller.model import Caller
    from gateway.caller.presented import Presented
    from gateway.choice.sharing import SharingChoices
    from gateway.fair_use.entrance import Entrance
    from gateway.fan_out import FanOut
    from gateway.sealed import Sealer
    from gateway.search.person import Person
    from gateway.shown import Rendered
    from gateway.store.interface import Store

FIND_PERSON: Final = "find-person"
WRONG_PERSON: Final = "wrong-person"


class Finding(NamedTuple):
    """What the search came to. `patient` is reduced to who it is; None where nobody is shown."""

    register: Organisation
    patient: Resource | None = None
    too_many: bool = False

    @property
    def nhs_number(self) -> str | None:
        """Of the person who was found."""
        return str(self.patient["id"]) if self.patient else None


class Seeking(Protocol):
    """What a door asks, and how the answer is made."""

    @property
    def door(self) -> str:
        """The route's method and template, for the audit."""
        ...

    @property
    def request_id(self) -> str:
        """The id that the caller gave the request, or that it was given."""
        ...

    def person(self) -> Person:
        """Raises BadRequest, before anything is asked."""
        ...

    def answer(self, finding: Finding) -> Rendered:
        """The bytes."""
        ...


@dataclass(slots=True)
class _Written:
    """What the journal must hold of a search, however it ends."""

    intent: int | None = None
    question: str = ""
    alarms: list[Alarm] = field(default_factory=list)
    withheld: dict[str, int] = field(default_factory=dict)
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class People:
    """The search for a person, with its parts. `register` is None where none takes part."""

    entrance: Entrance
    journal: Journal
    sharing: SharingChoices
    may: May
    register: Organisation | None
    fan_out: FanOut
    sealer: Sealer
    store: Store
    deadline: float

    async def find(self, presented: Presented, seeking: Seeking) -> Rendered:
        """Answer one search, or raise the GatewayError that says why not: that refusal is a row by then."""
        uses = (Use.REQUEST, Use.PERSON_SEARCH)
        caller = await self.entrance.admit(presented, seeking.request_id, seeking.door, *uses)  # 1
        async with self._audited(caller, seeking) as written:
            person = seeking.person()
            written.question = f"question {self.sealer.question_tag(person.question)}"
            written.intent = await self.journal.append(self._row(Kind.PERSON_SOUGHT, caller, seeking, written))  # 2
            register = self._require_may_find(caller)  # 3
            found = await self._ask(register, caller, person, seeking, written)  # 4
            finding = self._checked(register, found, person, written)  # 5
            try:
                if finding.nhs_number is not None:
                    await self.sharing.require_opted_in(finding.nhs_number)  # 6
                return await self._release(finding, caller, seeking, written)  # 7
            except OptedOut as error:
                await self._refused(error, caller, seeking, written, finding.nhs_number)
                return await self._release(Finding(register), caller, seeking, written)

    def _require_may_find(self, caller: Caller) -> Organisation:
        demand(self.may, FIND_PERSON, caller)
        require_in_context(caller, None)
        if not caller.grants.lets_read("Patient"):
            raise Refusal(
                "Your application's token doesn't let it search Patients. It needs the scope user/Patient.rs (or "
                "user/Patient.read).",
                rule="scope.patient",
            )
        if self.register is None:
            raise _not_offered()
        return self.register

    async def _ask(
        self, register: Organisation, caller: Caller, person: Person, seeking: Seeking, written: _Written
    ) -> Found:
        started = asyncio.get_running_loop().time()
        sought = PersonSought(
            family=person.family,
            given=person.given,
            birth_date=person.birth_date,
            asked_by=asked_by(caller),
            deadline=started + min(self.deadline, register.budget),
            request_id=seeking.request_id,
            gender=person.gender,
            postcode=person.postcode,
        )
        try:
            return await self.fan_out.find(register.ods, sought)
        except NoFinder as error:
            raise _not_offered() from error
        except SourceError as error:
            raise _silent(register, error) from error
        finally:
            written.took_ms = round((asyncio.get_running_loop().time() - started) * 1000, 1)

    def _checked(self, register: Organisation, found: Found, person: Person, written: _Written) -> Finding:
        if found.too_many or found.patient is None:
            return Finding(register, too_many=found.too_many)
        try:
            patient = fitting(found.patient, person, register)
        except Misfit as error:
            written.alarms.append(Alarm(source=register.ods, kind=WRONG_PERSON, count=1))
            raise NobodyAnswered(
                f"{register.name} sent something that could not be proven to be the person who was asked for, so "
                "nobody is shown. Try again shortly, or search by NHS number.",
                rule="register.misfit",
                detail=str(error),
            ) from error
        if patient is None:
            written.withheld = {Hold.SENSITIVE.value: 1}
        return Finding(register, patient)

    async def _release(self, finding: Finding, caller: Caller, seeking: Seeking, written: _Written) -> Rendered:
        """The row is committed, in one transaction with a last look at the choice, before a byte leaves."""
        rendered = seeking.answer(finding)
        row = self._row(Kind.PERSON_ANSWERED, caller, seeking, written, finding.nhs_number)
        line = SourceLine(outcome=Outcome.ANSWERED.value, took_ms=written.took_ms)
        await self.store.release(
            msgspec.structs.replace(
                row,
                sources={finding.register.ods: line},
                seen={Section.DEMOGRAPHICS.value: 1} if finding.patient else {},
                total=rendered.total,
                withheld=written.withheld,
                sent={PATIENT: digests} if (digests := list(map(self.journal.sent_digest, rendered.sent))) else {},
            )
        )
        return rendered

    def _row(
        self, kind: Kind, caller: Caller, seeking: Seeking, written: _Written, nhs_number: str | None = None
    ) -> Row:
        return self.journal.row(
            kind,
            caller,
            seeking.request_id,
            seeking.door,
            nhs_number=nhs_number,
            sections=[Section.DEMOGRAPHICS],
            status=200 if kind is Kind.PERSON_ANSWERED else 0,
            subject=written.question,
            intent=written.intent,
            alarms=written.alarms,
        )

    @asynccontextmanager
    async def _audited(self, caller: Caller, seeking: Seeking) -> AsyncIterator[_Written]:
        """Whatever ends the search other than an answer is a row too."""
        written = _Written()
        try:
            yield written
        except AuditUnavailable:
            raise
        except GatewayError as error:
            await self._refused(error, caller, seeking, written)
            raise
        except Exception as error:
            fault = GatewayError(
                "Something went wrong here, and was noted. Try again.", rule="fault", detail=type(error).__name__
            )
            await self._refused(fault, caller, seeking, written)
            raise

    async def _refused(
        self, error: GatewayError, caller: Caller, seeking: Seeking, written: _Written, nhs_number: str | None = None
    ) -> None:
        await self.journal.refuse(
            error,
            caller,
            seeking.request_id,
            seeking.door,
            nhs_number=nhs_number,
            subject=written.question,
            intent=written.intent,
            alarms=written.alarms,
        )


def _not_offered() -> NotSupported:
    return NotSupported(
        "Nobody can be found by name here: no national register takes part that could look for them. Search by NHS "
        "number, as identifier.",
        rule="search.no-register",
    )


def _silent(register: Organisation, error: SourceError) -> NobodyAnswered:
    told = str(error) if isinstance(error, TurnedAway) else error.told
    return NobodyAnswered(
        f"{register.name} {told}, so nobody could be looked for. This does not mean that nobody fits. Try again "
        "shortly, or search by NHS number.",
        rule="register.silent",
        detail=type(error).__name__,
    )
