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
    11 release     is the caller still signed in? In one transaction: choice and permission again, and the release row;
                   then the bytes

The order is what makes it safe: choice and authority are read at 3 and 4 to avoid asking, and again at 11 inside the
transaction that records the release; who signed out meanwhile is shown nothing more; search runs after policy, so that
hidden items can't change an answer.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway import guard, release
from gateway.authority import ByLaw, ByPermission
from gateway.caller.context import require_in_context
from gateway.caller.model import Caller
from gateway.choice.refusals import opted_out_under_another_number
from gateway.errors import NumberReplaced, OptedOut
from gateway.fair_use.count import Use
from gateway.known import require_patient
from gateway.live import Early, Live
from gateway.looking import Looking, Written
from gateway.observe.steps import Step, step
from gateway.register.standing import Standing, so_far, take

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from connectors.sdk.model import Answer
    from gateway.audit.journal import Journal
    from gateway.audit.row import Row
    from gateway.authority import Way
    from gateway.caller.presented import Presented
    from gateway.choice.permission import Permissions
    from gateway.choice.sharing import SharingChoices
    from gateway.desk.alerts import Alerts, Noticed
    from gateway.desk.volume import Volume
    from gateway.disclosure.model import Disclosure
    from gateway.fair_use.entrance import Entrance
    from gateway.fan_out import FanOut
    from gateway.locate import Locator, Look
    from gateway.merge import Merger, Record
    from gateway.room import Room
    from gateway.shadow.watch import Shadow
    from gateway.shown import Part, Rendered, Shown
    from gateway.store.interface import Store
    from gateway.view import View


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
        again with the last part; a part before that which holds none is neither released nor sent."""
        ...


@dataclass(frozen=True, slots=True)
class Records:
    """The pipeline, with its parts."""

    entrance: Entrance
    journal: Journal
    sharing: SharingChoices
    permissions: Permissions
    room: Room
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

    async def live(self, presented: Presented, question: LiveQuestion) -> AsyncGenerator[Rendered, None]:
        """Answer one question part by part, as the sources answer: each part is released in the journal, with a row of
        its own, before it is yielded. The last one says what only the whole record can say.

        Raises the GatewayError that says why not, that refusal being a row by then: before the first part as `open`
        does, and between two parts where the patient opts out, the permission or the sign-in ends, or the journal is
        gone: then no further part is released. Whoever stops before the last part must close the generator
        (`contextlib.aclosing`): that ends the calls that are under way, and is a row.
        """
        way = ByPermission(self.sharing, self.permissions)
        async with self._begun(presented, question, way) as looking:  # 1 to 5
            live = Live(self.merger, self.view, looking)
            calls = self.fan_out.coming(looking.located.asks, looking.follow)
            async with looking.written.unless_cut_short(), calls as coming:
                while coming.waiting:
                    with step(Step.FAN_OUT):
                        came = await coming.next(waits=not live.has_more)  # 6, of those that came
                    live.take(self._guarded(looking, came))  # 7
                    early = await self._early(looking, live, coming.waiting)  # 8 and 9, as far as that is settled
                    with step(Step.SEARCH):
                        rendered = question.part(early.part) if early else None  # 10
                    if early and rendered and rendered.items:
                        await self._release_early(looking, early, rendered)  # 11
                        live.released(rendered)
                        yield rendered
                live.take(self._guarded(looking, looking.located.not_asked()))
                guarded, standing = await self._standing(looking, live.guarded)
                with step(Step.MERGE):
                    record = live.whole(guarded, standing)
                rendered = await self._shown(looking, record, lambda shown: question.part(live.last(shown)))
            yield rendered

    async def _look(self, presented: Presented, question: Question, way: Way) -> Rendered:
        async with self._begun(presented, question, way) as looking:  # 1 to 5
            with step(Step.FAN_OUT):
                answers = await self.fan_out.ask(looking.located.asks, looking.follow)  # 6
            guarded = self._guarded(looking, answers + looking.located.not_asked())  # 7
            guarded, standing = await self._standing(looking, guarded)
            look, asks = looking.look, looking.located.asks
            with step(Step.MERGE):
                record = self.merger.merge(guarded, asks, look.nhs_number, look.sections, standing)  # 8
            return await self._shown(looking, record, question.search)

    @asynccontextmanager
    async def _begun(self, presented: Presented, question: Asking, way: Way) -> AsyncIterator[Looking]:
        caller = way.asking(await self._caller(presented, question))  # 1
        written = Written(self.journal, caller, question.request_id, question.door)
        async with written.audited(), self.shadow.watching() as watch:
            look = question.look(caller)
            with step(Step.INTENT):
                written.intent = await self.journal.intend(  # 2
                    caller, look.request_id, look.door, look.nhs_number, sections=look.sections
                )
            written.nhs_number = look.nhs_number
            require_in_context(caller, look.nhs_number)
            self.view.require_may_open(caller, way.action)
            if look.barred:
                raise look.barred
            with step(Step.CHOICE):
                opted_out = await way.choice(look.nhs_number)  # 3
            with step(Step.AUTHORITY):
                authority = await way.authority(caller, look.nhs_number, opted_out=opted_out)  # 4
            async with self.room.place():  # its turn: from here on the deadline runs
                now = asyncio.get_running_loop().time()
                with step(Step.LOCATE):
                    may_see = self.view.sections_for(caller, authority)
                    located = self.locator.locate(caller, look, may_see, now)  # 5
                if way.is_care:
                    watch.ask(caller, look, may_see, now)  # in the background; nothing of it is ever shown
                yield Looking(presented, caller, look, way, authority, located, watch, written)

    def _guarded(self, looking: Looking, answers: list[Answer]) -> guard.Guarded:
        looking.written.answers += answers
        with step(Step.GUARD):
            guarded = guard.guard(answers, looking.located.asks, self.address_of)
        looking.written.alarms += guarded.alarms
        self.fan_out.note_alarms(guarded.alarms)
        return guarded

    async def _standing(self, looking: Looking, guarded: guard.Guarded) -> tuple[guard.Guarded, Standing]:
        """The register's word, and the answers as far as it lets them count."""
        async with self._under_one_number(looking.way):
            return guarded, take(guarded, looking.located, self.view.restricts)

    async def _early(self, looking: Looking, live: Live, waiting: frozenset[str]) -> Early | None:
        """What may go out while others are still to answer."""
        if not waiting:
            return None
        async with self._under_one_number(looking.way):
            with step(Step.POLICY):
                return live.early(so_far(live.guarded.answers, looking.located, self.view.restricts), waiting)

    @asynccontextmanager
    async def _under_one_number(self, way: Way) -> AsyncIterator[None]:
        """Where the register names a current number, that may be of somebody who opted out: the choice holds under
        whichever number they are asked for, and the number isn't told."""
        try:
            yield
        except NumberReplaced as replaced:
            if replaced.current:
                await self._require_not_barred(replaced.current, way)
            raise

    async def _require_not_barred(self, nhs_number: str, way: Way) -> None:
        try:
            await way.choice(nhs_number)
        except OptedOut:
            raise opted_out_under_another_number() from None

    async def _shown(self, looking: Looking, record: Record, search: Callable[[Shown], Rendered]) -> Rendered:
        """The rest of the way for the whole record."""
        require_patient(record, looking.look)
        noticed = await self.alerts.notice(looking.caller, record, is_care=looking.way.is_care)  # before anything hides
        with step(Step.POLICY):
            shown = self.view.of(record, looking.caller, looking.authority, looking.look)  # 9
        with step(Step.SEARCH):
            rendered = search(shown)  # 10
        await self._release(looking, noticed, looking.row(shown, rendered, record.lines))  # 11
        looking.watch.compare(record)
        return rendered

    async def _release_early(self, looking: Looking, early: Early, rendered: Rendered) -> None:
        noticed = await self.alerts.notice(looking.caller, early.record, so_far=True)
        await self._release(looking, noticed, looking.row_of_part(early.part.shown, rendered))

    async def _release(self, looking: Looking, noticed: Noticed, row: Row) -> None:
        with step(Step.RELEASE):
            await self.entrance.require_standing(looking.presented)
            await release.release(self.store, *noticed.onto(row))
        looking.written.alarms = []
        self.volume.seen(looking.caller, looking.look.request_id)

    async def _caller(self, presented: Presented, question: Asking) -> Caller:
        with step(Step.CALLER):
            return await self.entrance.admit(presented, question.request_id, question.door, Use.REQUEST)
