"""`make vendor`: the NHS frontend's own files, as the pages serve them, from its npm package.

    python -m tests.vendored PACKAGE.tgz

Taken out are the font, Frutiger (it is licensed to the NHS's own services, and would be fetched from another host), and
comments that lead to source maps; icons are named relative to the style. The rest is the package's, byte for byte.
"""

from __future__ import annotations

import re
import sys
import tarfile
from pathlib import Path
from typing import Final

VERSION: Final = "10.6.1"
FOLDER: Final = Path(__file__).parents[1] / "gateway" / "web" / "static" / "nhsuk"
_DIST: Final = "package/dist/nhsuk"
_FONT: Final = re.compile(r"@font-face\{[^}]*\}|Frutiger W01,")
_MAP: Final = re.compile(r"/[*/][#@] sourceMappingURL=.*?(\*/|$)", re.DOTALL)
_ICON: Final = re.compile(r"/assets/images/(nhsuk-icon-[a-z-]+\.svg)")


def taken(package: tarfile.TarFile) -> dict[str, bytes]:
    """{file name: content} of what is served."""
    style = _text(package, f"{_DIST}/nhsuk-frontend-{VERSION}.min.css")
    script = _text(package, f"{_DIST}/nhsuk-frontend-{VERSION}.min.js")
    icons = {name: f"{_DIST}/assets/images/{name}" for name in sorted(set(_ICON.findall(style)))}
    return {
        "nhsuk-frontend.css": _MAP.sub("", _FONT.sub("", _ICON.sub(r"\1", style))).encode(),
        "nhsuk-frontend.js": _MAP.sub("", script).encode(),
        **{name: _text(package, path).encode() for name, path in icons.items()},
    }


def _text(package: tarfile.TarFile, name: str) -> str:
    member = package.extractfile(name)
    if member is None:
        raise SystemExit(f"The package holds no file {name}.")
    return member.read().decode()


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tarfile.open(sys.argv[1]) as package:
        for name, content in taken(package).items():
            (FOLDER / name).write_bytes(content)
            print(f"{len(content):>8} {FOLDER / name}")
