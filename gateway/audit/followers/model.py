"""What a copy of the journal is, and what can go wrong with one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from gateway.store.interface import Entry, FollowerStore, LogStore

SINK: Final = "sink"
REPOSITORY: Final = "repository"
NAMES: Final = (SINK, REPOSITORY)
"""The followers that a store may hold a position of."""


class Followed(LogStore, FollowerStore, Protocol):
    """What a follower needs of a store."""


class CopyFailed(Exception):
    """The copy couldn't be made. It is tried again, and nothing is skipped. The text holds no identifier."""


class CopyStopped(CopyFailed):
    """It won't be made before a person has looked: a row that the repository refuses, a file that holds another log.

    It is tried again all the same, as rarely as anything is: once the cause is gone, nobody needs to restart.
    """

    def __init__(self, told: str, row: int) -> None:
        super().__init__(told)
        self.row = row


class Copy(Protocol):
    """A place that holds the journal a second time."""

    @property
    def name(self) -> str:
        """One of `NAMES`."""
        ...

    @property
    def most(self) -> int:
        """How many rows it takes at once."""
        ...

    async def begin(self, position: int) -> int:
        """Make ready; returns the number of the last row that it holds, which may be another than the store's
        `position` says. Raises CopyFailed or OSError."""
        ...

    async def take(self, entries: Sequence[Entry]) -> int:
        """Durably hold these rows, or the first few of them; returns the number of the last one that it holds. Again is
        harmless. Raises CopyFailed or OSError, and then it may hold some of them or none."""
        ...

    async def end(self) -> None:
        """Let go of what `begin` took, for whoever follows next."""
        ...

    async def aclose(self) -> None:
        """Close for good."""
        ...
