"""Fair use for tests and measurements that ask far more, as one person, than anybody at work does."""

from __future__ import annotations

from typing import Final

_MUCH: Final = dict.fromkeys(("person", "client", "organisation"), "1000000 per second")
BOUNDLESS: Final = {"requests": _MUCH, "person_searches": _MUCH, "best_interests": _MUCH}
