"""Lays out the production example: `python -m deploy.make_production` (as the user that the gateway will run as).

    /etc/connect-care/      settings.yaml, organisations.yaml, and the keys that they name
    /var/lib/connect-care/  where the store will be
    /mnt/audit/             for the second copy of the journal: mount another disk here first

What is there already stays. `--root` puts all of it below another folder, and says so in the settings.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.make_secrets import once, write
from gateway.audit.checkpoints import new_key
from gateway.sealed import new_master_key
from gateway.settings import load_settings

EXAMPLE: Final = Path(__file__).resolve().parent / "production"
_PATHS: Final = re.compile(r"(?<=[ =])/(?=(?:etc|var|mnt)/)")
_LAID_OUT: Final = ("settings.yaml", "organisations.yaml")
_FOLDERS: Final = ("etc/connect-care", "var/lib/connect-care", "mnt/audit")


def make(root: Path) -> Path:
    """Make what is missing; the settings' file. Raises OSError."""
    for folder in _FOLDERS:
        (root / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    configured = root / _FOLDERS[0]
    for name in _LAID_OUT:
        once(configured / name, partial(_lay_out, EXAMPLE / name, root))
    settings = configured / "settings.yaml"
    once(configured / "master.key", new_master_key)
    once(configured / "checkpoint.key", lambda file: new_key(file, load_settings(settings).log_origin))
    once(configured / "source.key", _new_signing_key)
    return settings


def _lay_out(example: Path, root: Path, file: Path) -> None:
    text = _PATHS.sub(f"{root.absolute()}/".replace("//", "/"), example.read_text(encoding="utf-8"))
    write(file, text.encode())


def _new_signing_key(file: Path) -> None:
    """For SMART Backend Services: its public half goes to the organisation."""
    key = ec.generate_private_key(ec.SECP384R1())
    write(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Lay out the production example, with keys of its own.")
    parser.add_argument("--root", type=Path, default=Path("/"))
    os.umask(0o077)
    try:
        settings = make(parser.parse_args(arguments).root)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}" if error.strerror else error, file=sys.stderr)  # noqa: T201
        return 1
    print(f"Next: connectcare doctor --config {settings}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
