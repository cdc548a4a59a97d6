"""The whole story of one look, on one screen. Every door goes through here; there is no second way to a patient's data.

     1 caller      who is asking: a person, with one role profile, in one organisation, for one purpose
     2 intent      the journal durably holds the intent to look. No journal, no look
     3 choice      has the patient opted out? Then nobody is asked
     4 authority   has the patient said yes to this caller now, or is this the best-interests case? Or, for a
                   disclosure: which law requires it, and what may go out (gateway/authority.py)
     5 locate      which organisations may hold something, and which sections this role may see at all
     6 fan out     one Ask per source, all at once, one absolute deadline; one Answer per source, always; the GP
                   practice once the national register has named it
     7 guard       is every item this patient's? Well-shaped? Within bounds?
     8 merge       one record, nothing overwritten, ids sealed, every source accounted for
     9 policy      label sensitivity, then decide per item: show, show in part, withhold
    10 search      the client's own filters, over what is left, never over what is hidden
    11 release     in one transaction: choice and permission again, and the release row; then the bytes

The order is what makes it safe: choice and authority are read at 3 and 4 to avoid asking, and again at 11 inside the
transaction that records the release; search runs after policy, so that hidden items can't change an answer.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gateway import guard, release
from gateway.authority import ByLaw, ByPermission, lawful_of, permission_of
from gateway.caller.context import require_in_context
from gateway.caller.model import Caller
from gateway.choice.refusals import opted_out_under_another_number
from gateway.errors import AuditUnavailable, GatewayError, NumberReplaced, OptedOut
from gateway.fair_use.count import Use
from gateway.known import require_patient
from gateway.locate import Look
from gateway.register.standing import Standing, take
from gateway.shown import Part, Rendered, Shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from connectors.sdk.model import Answer
    from gateway.audit.journal import Journal
    from gateway.audit.row import Alarm, Row
    from gateway.authority import Way
    from gateway.caller.presented import Presented
    from gateway.choice.permission import Permissions
    from gateway.choice.sharing import SharingChoices
    from gateway.desk.alerts import Alerts
    from gateway.desk.volume import Volume
    from gateway.disclosure.model import Disclosure
    from gateway.fair_use.entrance import Entrance
    from gateway.fan_out import FanOut
    from gateway.locate import Located, Locator
    from gateway.merge import Merger, Record
    from gateway.shadow.watch import Shadow
    from gateway.store.interface import Store
    from gateway.view import View


@dataclass(slots=True)
class Written:
    """What the journal must hold of a look, however it ends."""

    intent: int = 0
    nhs_number: str | None = None
    answers: list[Answer] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    in_shadow: frozenset[str] = frozenset()


class Asking(Protocol):
    """What a door asks: which look it needs."""

    @property
    def door(self) -> str:
        """The route's method and template, for the audit."""
        ...

    @property
    def request_id(self) -> str:
        """The id that the caller gave the request, or that it was given."""
        ...

    def look(self, caller: Caller) -> Look:
        """Raises BadRequest, before anything is asked."""
        ...


class Question(Asking, Protocol):
    """And how the answer is made of what is shown."""

    def search(self, shown: Shown) -> Rendered:
        """Step 10. Raises NotFound where a read's target isn't among what is shown."""
        ...


class LiveQuestion(Asking, Protocol):
    """And how each part of a live look is made of what that part shows."""

    def part(self, part: Part) -> Rendered:
        """Step 10 for one part: its bytes, as they go out, and the items that are in them. What isn't among them comes
        again with the next part; a part before the last that holds none is neither released nor sent."""
        ...


@dataclass(frozen=True, slots=True)
class _AtOnce:
    """A live look in one part: all that it has is settled once everybody has answered."""

    asked: LiveQuestion

    @property
    def door(self) -> str:
        return self.asked.door

    @property
    def request_id(self) -> str:
        return self.asked.request_id

    def look(self, caller: Caller) -> Look:
        return self.asked.look(caller)

    def search(self, shown: Shown) -> Rendered:
        return self.asked.part(Part(shown, number=1, closes=True))


@dataclass(frozen=True, slots=True)
class Records:
    """The pipeline, with its parts."""

    entrance: Entrance
    journal: Journal
    sharing: SharingChoices
    permissions: Permissions
    locator: Locator
    fan_out: FanOut
    shadow: Shadow
    merger: Merger
    view: View
    store: Store
    alerts: Alerts
    volume: Volume
    address_of: Callable[[str], str]

    async def open(self, presented: Presented, question: Question) -> Rendered:
        """Answer one question on the patient's permission, or raise the GatewayError that says why not: that refusal is
        a row by then."""
        return await self._look(presented, question, ByPermission(self.sharing, self.permissions))

    async def disclose(self, presented: Presented, question: Question, claim: Disclosure) -> Rendered:
        """The same, on the law's authority."""
        return await self._look(presented, question, ByLaw(self.sharing, claim))

    async def live(self, presented: Presented, question: LiveQuestion) -> AsyncIterator[Rendered]:
        """Answer one question part by part, as the sources answer: each part is released in the journal, with a row of
        its own, before it is yielded. The last one says what only the whole record can say.

        Raises the GatewayError that says why not, that refusal being a row by then: before the first part as `open`
        does, and between two parts where the patient opts out, the permission ends or the journal is gone: then no
        further part is released. Whoever stops before the last part must close the iterator (`contextlib.aclosing`):
        that ends the calls that are under way, and is a row.
        """
        rendered = await self._look(presented, _AtOnce(question), ByPermission(self.sharing, self.permissions))
        yield rendered

    async def _look(self, presented: Presented, question: Question, way: Way) -> Rendered:
        caller = way.asking(await self._caller(presented, question))  # 1
        async with self._audited(caller, question) as written, self.shadow.watching() as watch:
            look = question.look(caller)
            written.intent = await self.journal.intend(  # 2
                caller, look.request_id, look.door, look.nhs_number, sections=look.sections
            )
            written.nhs_number = look.nhs_number
            require_in_context(caller, look.nhs_number)
            self.view.require_may_open(caller, way.action)
            if look.barred:
                raise look.barred
            opted_out = await way.choice(look.nhs_number)  # 3
            authority = await way.authority(caller, look.nhs_number, opted_out=opted_out)  # 4
            now = asyncio.get_running_loop().time()
            may_see = self.view.sections_for(caller, authority)
            located = self.locator.locate(caller, look, may_see, now)  # 5
            if way.is_care:
                watch.ask(caller, look, may_see, now)  # in the background; nothing of it is ever shown
            answers = await self.fan_out.ask(located.asks, watch.following(located))  # 6
            answers += located.not_asked()
            written.answers = answers
            guarded = guard.guard(answers, located.asks, self.address_of)  # 7
            written.alarms = guarded.alarms
            standing = await self._standing(guarded, located, way)
            record = self.merger.merge(guarded, located.asks, look.nhs_number, look.sections, standing)  # 8
            require_patient(record, look)
            noticed = await self.alerts.notice(caller, record, is_care=way.is_care)  # before anything is hidden
            shown = self.view.of(record, caller, authority, look)  # 9
            rendered = question.search(shown)  # 10
            written.in_shadow = watch.asked
            row = self._row(shown, rendered, record, answers, written)
            await release.release(self.store, *noticed.onto(row))  # 11
            self.volume.seen(caller, look.request_id)
            watch.compare(record)
            return rendered

    async def _standing(self, guarded: guard.Guarded, located: Located, way: Way) -> Standing:
        """The register's word. Where it names a current number, that may be of somebody who opted out: the choice holds
        under whichever number they are asked for, and the number isn't told."""
        try:
            return take(guarded, located, self.view.restricts)
        except NumberReplaced as replaced:
            if replaced.current:
                await self._require_not_barred(replaced.current, way)
            raise

    async def _require_not_barred(self, nhs_number: str, way: Way) -> None:
        try:
            await way.choice(nhs_number)
        except OptedOut:
            raise opted_out_under_another_number() from None

    async def _caller(self, presented: Presented, question: Asking) -> Caller:
        return await self.entrance.admit(presented, question.request_id, question.door, Use.REQUEST)

    def _row(
        self,
        shown: Shown,
        rendered: Rendered,
        record: Record,
        answers: list[Answer],
        written: Written,
    ) -> Row:
        return release.release_row(
            self.journal,
            shown.caller,
            shown.look.request_id,
            shown.look.door,
            shown.look.nhs_number,
            permission=permission_of(shown.authority),
            lawful=lawful_of(shown.authority),
            intent=written.intent,
            policy_hash=shown.policy_hash,
            items=rendered.items,
            sent=rendered.sent,
            lines=record.lines,
            answers=answers,
            in_shadow=written.in_shadow,
            sections=shown.look.sections,
            withheld=shown.withheld,
            outlined=shown.outlined,
            alarms=written.alarms,
            total=rendered.total,
        )

    @asynccontextmanager
    async def _audited(self, caller: Caller, question: Asking) -> AsyncIterator[Written]:
        """Whatever ends the look other than an answer is a row too, with the alarms that were raised until then."""
        written = Written()
        try:
            yield written
        except AuditUnavailable:
            raise
        except GatewayError as error:
            await self._refused(error, caller, question, written)
            raise
        except Exception as error:
            fault = GatewayError(
                "Something went wrong here, and was noted. Try again.", rule="fault", detail=type(error).__name__
            )
            await self._refused(fault, caller, question, written)
            raise

    async def _refused(self, error: GatewayError, caller: Caller, question: Asking, written: Written) -> None:
        await self.journal.refuse(
            error,
            caller,
            question.request_id,
            question.door,
            nhs_number=written.nhs_number,
            intent=written.intent or None,
            sources=release.source_lines((), written.answers),
            alarms=written.alarms,
        )
