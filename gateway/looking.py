"""One look on its way: who looks, at what, on what authority, and what the journal must hold of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.sdk.model import Answer
    from gateway.audit.row import Alarm
    from gateway.authority import Authority, Way
    from gateway.caller.model import Caller
    from gateway.fan_out import Follow
    from gateway.locate import Located, Look
    from gateway.shadow.watch import Watch


@dataclass(slots=True)
class Written:
    """What the journal must hold of a look, however it ends. `alarms` are those that no row holds yet."""

    intent: int = 0
    nhs_number: str | None = None
    answers: list[Answer] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Looking:
    """A look that may be made: steps 1 to 5 are behind it, and nobody has been asked yet."""

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
