"""A gateway that writes nothing down, as nobody may run one: against it, what the journal costs is measured.

Choices and permissions are read and written as ever; intents and releases are neither made nor kept.

    python -m tests.bench.unjournalled serve --config FILE --port N
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway import assembly, cli, release
from gateway.audit.row import Kind, Row
from gateway.desk.model import Case
from gateway.settings import Settings
from gateway.store.moments import Clock, utc_now
from gateway.store.sqlite import SqliteStore

_NO_ROW: Final = Row(kind=Kind.RELEASE, request_id="none", at=datetime(2026, 1, 1, tzinfo=UTC), door="none", who=None)
_REPLACED: Final = ((release, "release_row"), (assembly, "open_for_writing"))


class Unwritten(SqliteStore):
    """Says of every row that it was written, and of every release that nothing stood against it."""

    def __init__(self, folder: Path, **more: Any) -> None:
        super().__init__(folder, **more)
        self._number = itertools.count(1)

    async def append(self, row: Row) -> int:
        return next(self._number)

    async def release(self, row: Row, cases: Sequence[Case] = ()) -> int:
        return next(self._number)


def _unmade(*_: Any, **__: Any) -> Row:
    return _NO_ROW


def _opened(settings: Settings, *, clock: Clock = utc_now) -> Unwritten:
    return Unwritten(settings.data_dir, clock=clock)


def take_the_journal_out() -> None:
    """Of this process. Raises AttributeError where the gateway's own parts are no longer where they were."""
    for (module, name), instead in zip(_REPLACED, (_unmade, _opened), strict=True):
        getattr(module, name)
        setattr(module, name, instead)


if __name__ == "__main__":
    take_the_journal_out()
    cli.main()
