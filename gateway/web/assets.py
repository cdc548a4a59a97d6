"""The pages' own files: style, script, icons. All of them are served from here, and nothing from anywhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

_FOLDER: Final = Path(__file__).with_name("static")
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",
}
_DIGEST_BYTES: Final = 10


class Asset(NamedTuple):
    """One file as it is sent."""

    media_type: str
    body: bytes


def _read() -> dict[str, Asset]:
    files = sorted(file for file in _FOLDER.rglob("*") if file.is_file())
    return {file.relative_to(_FOLDER).as_posix(): Asset(_TYPES[file.suffix], file.read_bytes()) for file in files}


ASSETS: Final[Mapping[str, Asset]] = MappingProxyType(_read())


def _digest() -> str:
    whole = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for name, asset in ASSETS.items():
        whole.update(f"{name} {len(asset.body)} ".encode())
        whole.update(asset.body)
    return whole.hexdigest()


VERSION: Final = _digest()
"""Names the files' content. It stands in every address, so that a browser may keep what it has for ever."""


def address(name: str) -> str:
    """Where the file of that name is. Raises KeyError for one that there isn't: a page must not ask for it."""
    _ = ASSETS[name]
    return f"/static/{VERSION}/{name}"
