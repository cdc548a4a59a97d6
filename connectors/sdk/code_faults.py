"""Where a connector's own code is wrong, in one sentence for whoever writes it.

The text of an error may quote what a source sent, so nothing but its type and its place is told of one that came while
a source was asked. What stops code from being imported comes before any source is asked, and is told whole.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final

from connectors.sdk.errors import ConfigurationError

_HOME: Final = "connectors"
_KIT: Final = "kit"


def place_of(error: BaseException) -> str:
    """` at connectors/jotter/mapping.py:56`: the innermost line of a connector, else of the SDK; empty for none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {_short(Path(error.filename))}:{error.lineno}"
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [(file, line) for file, line in frames if _is_a_connectors(file)]
    own = [(file, line) for file, line in ours if file.parent.name != "sdk"]
    return "".join(f" at {_short(file)}:{line}" for file, line in (own or ours)[-1:])


def cannot_import(name: str, error: Exception) -> ConfigurationError:
    """What to raise for a connector whose code can't be imported."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    kind = type(error).__name__
    return ConfigurationError(f"The code of {name} can't be used: {kind}{place_of(error)}: {text}. Mend that line.")


def _is_a_connectors(file: Path) -> bool:
    steps = _short(file).split("/")
    return len(steps) > 2 and steps[0] == _HOME and steps[1] != _KIT


def _short(file: Path) -> str:
    """The path from `connectors` on, where that is in it."""
    last = len(file.parts) - 1 - file.parts[::-1].index(_HOME) if _HOME in file.parts else 0
    return "/".join(file.parts[last:]).replace("//", "/")
