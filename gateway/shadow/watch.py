"""Organisations that are joining: asked in the background for the same looks, compared, and never shown.

A new source is watched before anybody relies on it. For each look that is permitted it is asked what it would be asked
if it were live; its answer goes through the guard and the merge by itself, is held against the record that was
released, and is thrown away. What remains are counts: nothing clinical, no identifier, not one byte in an answer. The
release's row in the journal says that it was asked, since asking is an access.

Nothing here can cost anybody a record: the work is done in tasks of its own, so many at a time and no more, and
whatever goes wrong in it is counted here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from gateway import guard, log
from gateway.shadow.counts import Counts, differences

if TYPE_CHECKING:
    from connectors.sdk.model import Answer, Ask, Section
    from connectors.sdk.organisations import Organisation, Organisations
    from gateway.caller.model import Caller
    from gateway.fan_out import FanOut, Follow
    from gateway.guard import Guarded
    from gateway.locate import Located, Locator, Look
    from gateway.merge import Merger, Record

MOST_LOOKS: Final = 32
"""Looks that may be watched at once. Beyond that a look isn't: a shadow takes no part of a busy gateway."""


class Shadow:
    """Watches what organisations in shadow answer. `seen` is what it knows of each; `counts` are those of the watch
    whose place it takes, which go on."""

    def __init__(
        self,
        organisations: Organisations,
        locator: Locator,
        fan_out: FanOut,
        merger: Merger,
        address_of: Callable[[str], str],
        *,
        counts: dict[str, Counts] | None = None,
        most_looks: int = MOST_LOOKS,
    ) -> None:
        self._organisations = organisations
        self._locator = locator
        self._fan_out = fan_out
        self._merger = merger
        self._address_of = address_of
        self._most_looks = most_looks
        self.counts = {} if counts is None else counts
        self._tasks: set[asyncio.Task[None]] = set()

    def seen(self, source: str) -> dict[str, Any]:
        """What the answers of a source came to until now, as counts. It says nothing about any patient."""
        return self._of(source).as_json()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Watch]:
        """One look. A look that ends without a release is compared with nothing."""
        watch = Watch(self)
        try:
            yield watch
        finally:
            watch.end()

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """End what is under way, and wait until it has."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def locate(self, caller: Caller, look: Look, may_see: frozenset[Section], now: float) -> Located:
        """What is asked for this look of those in shadow."""
        return self._locator.in_shadow(caller, look, may_see, now)

    def start(self, look: Look, asks: Mapping[str, Ask], released: asyncio.Future[Record | None]) -> frozenset[str]:
        """Ask, and compare once the record is released. The ODS codes of those asked: nobody where too many looks are
        watched already, which is counted."""
        asks = {source: ask for source, ask in asks.items() if self._is_shadowed(source)}
        if not asks:
            return frozenset()
        if len(self._tasks) >= self._most_looks:
            for source in asks:
                self._of(source).skipped += 1
            return frozenset()
        task = asyncio.create_task(self._watch(look, asks, released))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return frozenset(asks)

    def fault(self, error: Exception, sources: Iterable[str] | None = None) -> None:
        """Count a fault of our own, for these sources; for all in shadow where it isn't known whose look it cost."""
        cost = sorted(one.ods for one in self._organisations.shadows()) if sources is None else sorted(sources)
        log.failed("shadow.fault", error, sources=cost)
        for source in cost:
            self._of(source).faults += 1

    async def _watch(self, look: Look, asks: Mapping[str, Ask], released: asyncio.Future[Record | None]) -> None:
        try:
            guarded = guard.guard(await self._fan_out.ask(asks), asks, self._address_of)
            for answer in guarded.answers:
                self._of(answer.source).add(answer, guarded.alarms)
            items = sum(len(answer.items) for answer in guarded.answers)
            record = await released
            found = self._compare(look, guarded, asks, record) if record is not None else Counter()
            _report(guarded, items, found)
        except Exception as error:
            self.fault(error, asks)

    def _compare(self, look: Look, guarded: Guarded, asks: Mapping[str, Ask], record: Record) -> Counter[str]:
        """Each source by itself: what would differ if it alone were live. How often in all, by kind."""
        in_all: Counter[str] = Counter()
        for answer in guarded.answers:
            shadow = self._merger.merge(guard.Guarded([answer]), asks, look.nhs_number, look.sections)
            found = differences(record, shadow)
            self._of(answer.source).differ(found)
            in_all.update({kind: counts.total() for kind, counts in found.items()})
        return in_all

    def _is_shadowed(self, source: str) -> bool:
        """The entry's own word, whatever was located: nobody who is shown is asked twice."""
        organisation = self._organisations.get(source)
        return organisation is not None and organisation.is_shadowed

    def _of(self, source: str) -> Counts:
        return self.counts.setdefault(source, Counts())


class Watch:
    """One look. None of its methods raises or waits. `asked` are the ODS codes of those that were asked until now."""

    def __init__(self, shadow: Shadow) -> None:
        self._shadow = shadow
        self._released: asyncio.Future[Record | None] = asyncio.get_running_loop().create_future()
        self._located: Located | None = None
        self.asked: frozenset[str] = frozenset()

    def ask(self, caller: Caller, look: Look, may_see: frozenset[Section], now: float) -> None:
        """Start asking those who wait for nobody's answer. `now` is the event loop's time."""
        try:
            self._located = self._shadow.locate(caller, look, may_see, now)
            self.asked |= self._shadow.start(look, self._located.asks, self._released)
        except Exception as error:
            self._shadow.fault(error)

    def following(self, located: Located) -> Follow:
        """What the record follows, and with it the patient's practice, where that is one that is joining."""

        def follow(answer: Answer) -> Mapping[str, Ask]:
            further = located.follow(answer)
            if located.practice is not None:
                self._ask_practice(located.practice)
            return further

        return follow

    def _ask_practice(self, practice: Organisation) -> None:
        try:
            if self._located is not None and practice.is_shadowed and practice.ods not in self._located.asks:
                self._located.ask_at_once([practice], asyncio.get_running_loop().time())
                asks = {source: ask for source, ask in self._located.asks.items() if source == practice.ods}
                self.asked |= self._shadow.start(self._located.look, asks, self._released)
        except Exception as error:
            self._shadow.fault(error, [practice.ods])

    def compare(self, record: Record) -> None:
        """The record was released: hold what comes against it."""
        if not self._released.done():
            self._released.set_result(record)

    def end(self) -> None:
        """The look is over."""
        if not self._released.done():
            self._released.set_result(None)


def _report(guarded: Guarded, items: int, found: Counter[str]) -> None:
    """One event for each look: counts, and nothing that would lead to it."""
    answers = guarded.answers
    log.event(
        "shadow.looked",
        sources=[answer.source for answer in answers],
        outcome=[answer.outcome.value for answer in answers],
        count=items,
        gaps=sum(len(answer.gaps) for answer in answers),
        alarm=sorted({alarm.kind for alarm in guarded.alarms}),
        kind=[f"{kind} {count}" for kind, count in sorted(found.items())],
        took_ms=max(answer.took_ms for answer in answers),
    )
