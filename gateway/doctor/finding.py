"""What the doctor finds: one thing, in words, with what to do about it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from connectors.sdk.organisations import Organisations
from gateway.production import Lack
from gateway.settings import Settings
from gateway.store.moments import utc_now


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing. `about` is the setting, file or organisation; `what` has no full stop, `remedy` has. An advice makes
    a gateway better and production doesn't wait for it."""

    about: str
    what: str
    remedy: str
    is_advice: bool = False

    @classmethod
    def of(cls, lack: Lack) -> Finding:
        return cls(lack.where, lack.what, lack.remedy)

    def __str__(self) -> str:
        about = "" if self.what.startswith(self.about) else f"{self.about}: "
        return f"{'Advice: ' if self.is_advice else ''}{about}{self.what}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Examined:
    """What is examined. `settings` are as they say they are, also where production refuses them. `organisations` is
    None where their file is wrong. `trust` is a file of authorities to believe in place of the platform's own.
    """

    settings: Settings
    organisations: Organisations | None
    now: Callable[[], datetime] = utc_now
    trust: Path | None = None

    @property
    def tls(self) -> ssl.SSLContext:
        """What is believed of whoever has no authorities of their own in the settings."""
        return ssl.create_default_context(cafile=self.trust)
