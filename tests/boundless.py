"""What keeps tests and measurements from bounds that are for the world: they ask far more, as one person, than anybody
at work does, and the machine that they run on may stand still for seconds."""

from __future__ import annotations

from typing import Final

_MUCH: Final = dict.fromkeys(("person", "client", "organisation"), "1000000 per second")
BOUNDLESS: Final = {"requests": _MUCH, "person_searches": _MUCH, "best_interests": _MUCH}
UNHURRIED: Final = 30.0
"""Seconds that a source, and a whole record, may take: the most that the settings allow. Where time isn't what a test
is about, no answer may turn into "did not answer in time" because the machine was slow."""
HURRIED: Final = 5.0
"""The same where one of several sources never answers: enough for the others, however busy the machine."""
