"""Fails where the published contract isn't what the code makes: `make openapi` writes it anew."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from gateway.cli import openapi

PUBLISHED = Path(__file__).resolve().parents[2] / "openapi" / "connect-care.json"


def main() -> None:
    """Compare, and say what to do."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.json"
        openapi(made)
        if not PUBLISHED.exists() or made.read_text() != PUBLISHED.read_text():
            sys.exit("openapi/connect-care.json is not what the code makes. Run: make openapi")


if __name__ == "__main__":
    main()
