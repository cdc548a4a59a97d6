"""What one Ask may bring in all: the caps on one call alone would let a source send page after page at each of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from connectors.sdk.errors import TooMuch

MAX_BYTES_OF_ASK: Final = 64 * 1024 * 1024
MAX_ENTRIES_OF_ASK: Final = 9_999
"""Entries of all searches, supporting ones too. With the Patient they are as many items as the guard takes."""


BIG: Final = 256 * 1024
"""Decoded bytes from which on a body is read alone. A page of a hundred resources has some 150 kB."""


@dataclass(slots=True)
class Budget:
    """What is left of one Ask's bytes (decoded) and entries. All its searches and pages draw on the same one.

    `alone` is held by whichever body has grown `BIG`, until it is whole: the others of the Ask wait, unread, so that a
    source which sends too much to every search at once costs the memory of one such body, and not of a dozen. The
    price: where one stops half-way, the others that are big come too late, and their sections are gaps.
    """

    bytes_left: int = MAX_BYTES_OF_ASK
    entries_left: int = MAX_ENTRIES_OF_ASK
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    def spend_bytes(self, count: int) -> None:
        """Raises TooMuch where they aren't there any more. Then nothing is left: what still runs stops too."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise TooMuch("decoded bytes over the budget of the whole question")

    def take_entries(self, count: int) -> int:
        """How many of `count` entries there is room for; they are spent."""
        taken = min(count, self.entries_left)
        self.entries_left -= taken
        return taken
