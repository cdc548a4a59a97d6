"""Fails where a published contract isn't what the code makes, or where the code breaks a released one.

`make openapi` writes them anew; `connectcare openapi --release openapi` keeps them as released.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from gateway.cli import openapi
from gateway.contracts.published import FHIR, OWN, RELEASED, broken, told

PUBLISHED = Path(__file__).resolve().parents[2] / "openapi"


def faults(published: Path, made: dict[str, str]) -> list[str]:
    """What is wrong with the folder of published contracts, a sentence each."""
    stale = [
        f"openapi/{name} is not what the code makes. Run: make openapi"
        for name, text in made.items()
        if not (published / name).exists() or (published / name).read_text(encoding="utf-8") != text
    ]
    try:
        sentences = broken(published / RELEASED, made)
    except FileNotFoundError as error:
        return [*stale, f"{error.filename} is missing: without it nobody knows what was promised. Bring it back."]
    return [*stale, *([told(sentences)] if sentences else [])]


def made_now() -> dict[str, str]:
    """Both contracts, as the command writes them."""
    with tempfile.TemporaryDirectory() as folder:
        openapi(Path(folder), release=False)
        return {name: (Path(folder) / name).read_text(encoding="utf-8") for name in (OWN, FHIR)}


def main() -> None:
    """Compare, and say what to do."""
    if found := faults(PUBLISHED, made_now()):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
