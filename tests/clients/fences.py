"""The fenced commands of a document, as one script: what a reader pastes, in the order in which it stands there.

A block of `sh` runs as it is. A block that follows a line "Save this as `name`:" is written to that file. A block
without a language is shown and not run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_FENCE: Final = re.compile(r"(?:^Save this as `([\w.-]+)`:\n\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_END_OF_FILE: Final = "END-OF-THE-FILE"


@dataclass(frozen=True, slots=True)
class Fence:
    """One block. `file` is what it is to be saved as, "" where it isn't."""

    language: str
    text: str
    file: str = ""


def fences(document: str) -> list[Fence]:
    """Every block of a document."""
    return [Fence(language, text, file) for file, language, text in _FENCE.findall(document)]


def script(document: str, instead: Mapping[str, str]) -> str:
    """All that is to be run, with these words in place of the document's: the port, and where commands are.

    Raises ValueError for a program that nothing says the name of, so that no block is passed over.
    """
    parts = []
    for fence in fences(document):
        if fence.file:
            parts.append(f"cat > {shlex.quote(fence.file)} <<'{_END_OF_FILE}'\n{fence.text}{_END_OF_FILE}\n")
        elif fence.language == "sh":
            parts.append(fence.text)
        elif fence.language:
            raise ValueError(f"a block of {fence.language} that no line says to save")
    text = "\n".join(parts)
    # In one go: what is put in may itself hold words that are to be replaced.
    return re.sub("|".join(map(re.escape, instead)), lambda found: instead[found[0]], text) if instead else text
