"""Keys and secrets: there, readable by the gateway alone, and not lying with what they protect."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.audit.checkpoints import load_public
from gateway.audit.log.checkpoint import SigningKey
from gateway.closed import is_mounted, is_open_to_others
from gateway.doctor.finding import Examined, Finding
from gateway.launch.settings import Client
from gateway.sealed import load_master_key
from gateway.settings import Settings


def files(examined: Examined) -> Iterator[Finding]:
    """Every file of the settings that nobody else may read. Those of organisations: `organisations.py`."""
    given = examined.settings
    owner = runs_as(given)
    yield from secret("key_file", given.key_file, owner, load_master_key)
    yield from _apart("key_file", given.key_file, given, "whoever gets a copy of the store can name its patients")
    yield from _checkpoint_key(given, owner)
    if given.database_password_file is not None:
        yield from secret("database_password_file", given.database_password_file, owner)
    for system in given.registered:
        if isinstance(system, Client) and system.key_file is not None:
            yield from secret(f"{system.name}: key_file", system.key_file, owner)


def secret(about: str, file: Path, owner: int, read: Callable[[Path], object] | None = None) -> Iterator[Finding]:
    """A file of one secret. `read` raises ValueError where it doesn't hold what it should."""
    try:
        found = file.stat()
    except OSError as error:
        yield Finding(about, f"{file} can't be seen ({error.strerror})", "Make the file, or name another.")
        return
    if is_open_to_others(found, owner):
        yield Finding(about, f"{file} is open to others than its owner", f"Close it: chmod 600 {file}")
    if found.st_uid != owner and not is_mounted(found, owner):
        yield Finding(
            about, f"{file} belongs to user {found.st_uid}, and the gateway runs as {owner}", f"chown {owner} {file}"
        )
    elif read is not None:
        try:
            read(file)
        except (OSError, ValueError) as error:
            yield Finding(about, f"{file} can't be used", str(error))


def _checkpoint_key(given: Settings, owner: int) -> Iterator[Finding]:
    if given.checkpoint_public is not None:
        try:
            yield from _of_another_log("checkpoint_public", load_public(given.checkpoint_public).origin, given)
        except ValueError as error:
            yield Finding("checkpoint_public", f"{given.checkpoint_public} can't be used", str(error))
    if given.checkpoint_key is None:
        return
    yield from secret("checkpoint_key", given.checkpoint_key, owner, SigningKey.load)
    yield from _apart(
        "checkpoint_key", given.checkpoint_key, given, "whoever alters the journal there can sign it anew"
    )
    try:
        origin = SigningKey.load(given.checkpoint_key).public.origin
    except (OSError, ValueError):
        return  # told above
    yield from _of_another_log("checkpoint_key", origin, given)


def _of_another_log(about: str, origin: str, given: Settings) -> Iterator[Finding]:
    if origin != given.log_origin:
        yield Finding(
            about,
            f"the key is of the log {origin}, and this gateway's is {given.log_origin}",
            f"Make one of its own: connectcare audit key new FILE --name {given.log_origin}",
        )


def _apart(about: str, file: Path, given: Settings, why: str) -> Iterator[Finding]:
    if file.absolute().is_relative_to(given.data_dir.absolute()):
        yield Finding(about, f"{file} lies in data_dir: {why}", "Move it to a folder that is backed up apart from it.")


def runs_as(given: Settings) -> int:
    """The user that the gateway runs as: the store's owner, or, where there is none yet, whoever asks."""
    store = given.data_dir / "store"
    return store.stat().st_uid if store.exists() else os.geteuid()
