"""Every case, by its number and in order. Importing this package registers all of them."""

from __future__ import annotations

from typing import Final

from connectors.kit.cases import answers, honesty, links, manners, refusals, secrecy, time, whose, wire
from connectors.kit.registry import CASES, Case

__all__ = ["ALL", "answers", "honesty", "links", "manners", "refusals", "secrecy", "time", "whose", "wire"]

ALL: Final[dict[str, Case]] = dict(sorted(CASES.items()))
