"""What the settings themselves lack."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from connectors.sdk import kernel
from connectors.sdk.errors import ConfigurationError
from gateway.doctor.finding import Examined, Finding
from gateway.policy.decide import Policy
from gateway.production import lacks_of

OLDEST_BACKUP: Final = timedelta(hours=26)
"""A day, and time for the back-up to take longer than yesterday."""


def settings(examined: Examined) -> Iterator[Finding]:
    """What production refuses, and what it would start without and shouldn't run without."""
    given = examined.settings
    if given.is_demo:
        yield Finding("profile", "it says demo", "Set profile: production, or leave it out.")
    yield from map(Finding.of, lacks_of(given))
    if given.security_contact is None:
        yield Finding("security_contact", "nobody can be told of a security hole", "Give one: mailto:… or https://…")
    yield from _backup(given.backup_stamp, examined.now())
    if given.kernel == "auto" and not kernel.is_built():
        yield Finding(
            "kernel",
            "the native kernel isn't built: records take about half as much processor time again",
            "Build it with make kernel; or set kernel: python, and no more is said of it.",
            is_advice=True,
        )


def policies(examined: Examined) -> Iterator[Finding]:
    """Whether they can be loaded, label tables and all."""
    try:
        Policy.load(examined.settings.policies_dir, examined.settings.label_files)
    except ConfigurationError as error:
        yield Finding("policies_dir", "the policies can't be used", str(error))


def _backup(stamp: Path | None, now: datetime) -> Iterator[Finding]:
    remedy = "Have the back-up write the file that backup_stamp names whenever it succeeded, at least once a day."
    if stamp is None:
        yield Finding("backup_stamp", "nothing tells whether there is a back-up", remedy)
        return
    try:
        made = datetime.fromtimestamp(stamp.stat().st_mtime, UTC)
    except OSError as error:
        yield Finding("backup_stamp", f"{stamp} can't be seen ({error.strerror})", remedy)
        return
    if now - made > OLDEST_BACKUP:
        yield Finding("backup_stamp", f"the last back-up was on {made:%Y-%m-%d at %H:%M} UTC", remedy)
