"""One look on its way: who looks, at what, on what authority, and what the journal must hold of it, however it ends."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from anyio import CancelScope

from gateway import release
from gateway.authority import lawful_of, permission_of
from gateway.errors import AuditUnavailable, GatewayError, cut_short

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from connectors.sdk.model import Answer, Section
    from gateway.audit.journal import Journal
    from gateway.audit.row import Alarm, Row
    from gateway.authority import Authority, Way
    from gateway.caller.model import Caller
    from gateway.caller.presented import Presented
    from gateway.fan_out import Follow
    from gateway.locate import Located, Look
    from gateway.manifest import ManifestLine
    from gateway.shadow.watch import Watch
    from gateway.shown import Rendered, Shown


@dataclass(slots=True)
class Written:
    """What the journal must hold of a look. `answers` are all that came, `alarms` those that no row holds yet."""

    journal: Journal
    caller: Caller
    request_id: str
    door: str
    intent: int = 0
    nhs_number: str | None = None
    answers: list[Answer] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)

    @asynccontextmanager
    async def audited(self) -> AsyncIterator[None]:
        """Whatever ends the look other than an answer is a row too, with the alarms that were raised until then."""
        try:
            yield
        except AuditUnavailable:
            raise
        except GatewayError as error:
            await self._refuse(error)
            raise
        except Exception as error:
            told = "Something went wrong here, and was noted. Try again."
            await self._refuse(GatewayError(told, rule="fault", detail=type(error).__name__))
            raise

    @asynccontextmanager
    async def unless_cut_short(self) -> AsyncIterator[None]:
        """Whoever asked went away before all had come: that is a row, before anything else is let go, however often
        the look is cancelled."""
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            await _to_its_end(partial(self._refuse, cut_short()))
            raise

    async def _refuse(self, error: GatewayError) -> None:
        await self.journal.refuse(
            error,
            self.caller,
            self.request_id,
            self.door,
            nhs_number=self.nhs_number,
            intent=self.intent or None,
            sources=release.source_lines((), self.answers),
            alarms=self.alarms,
        )


async def _to_its_end(work: Callable[[], Awaitable[None]]) -> None:
    """Returns, or raises that it was cancelled meanwhile, once the work is done. Raises what the work raised.

    The work is a task of its own: neither a cancellation of whoever waits ends it nor a second one, nor the end of the
    event loop, which cancels every task there is and waits for what they still do. Where that comes before the work
    began, it begins again. (The shield is for a scope of anyio's, which would cancel at every turn of the loop.)
    """
    begun, cancelled = False, None

    async def working() -> None:
        nonlocal begun
        begun = True
        await work()

    while not begun:
        task = asyncio.create_task(working())
        with CancelScope(shield=True):
            while not task.done():
                try:
                    await asyncio.wait({task})
                except asyncio.CancelledError as error:
                    cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled


@dataclass(frozen=True, slots=True)
class Looking:
    """A look that may be made: steps 1 to 5 are behind it, and nobody has been asked yet."""

    presented: Presented
    caller: Caller
    look: Look
    way: Way
    authority: Authority
    located: Located
    watch: Watch
    written: Written

    @property
    def follow(self) -> Follow:
        """Which Asks follow from an Answer."""
        return self.watch.following(self.located)

    def row(self, shown: Shown, rendered: Rendered, lines: Iterable[ManifestLine]) -> Row:
        """The row that releases the whole; of a look in parts, what is left of it."""
        return self._row(shown, rendered, self.look.sections, lines, self.written.answers)

    def row_of_part(self, shown: Shown, rendered: Rendered) -> Row:
        """The row that releases one part: it names the sections and the sources that are in it."""
        told = {line.source: line for line in shown.manifest.lines}
        answers = [answer for answer in self.written.answers if answer.source in told]
        sections = {item.section for item in rendered.items if item.section is not None}
        return self._row(shown, rendered, sections, told.values(), answers)

    def _row(
        self,
        shown: Shown,
        rendered: Rendered,
        sections: Iterable[Section],
        lines: Iterable[ManifestLine],
        answers: Iterable[Answer],
    ) -> Row:
        return release.release_row(
            self.written.journal,
            self.caller,
            self.look.request_id,
            self.look.door,
            self.look.nhs_number,
            permission=permission_of(self.authority),
            lawful=lawful_of(self.authority),
            intent=self.written.intent,
            policy_hash=shown.policy_hash,
            items=rendered.items,
            sent=rendered.sent,
            lines=lines,
            answers=answers,
            in_shadow=self.watch.asked,
            sections=sections,
            withheld=shown.withheld,
            outlined=shown.outlined,
            alarms=self.written.alarms,
            total=rendered.total,
        )
