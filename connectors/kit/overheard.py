"""Everything that is logged, warned of or printed by whoever began while it listens: its own task, and those it starts.

Several may listen at once, each to its own: a `ContextVar` tells them apart.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


@dataclass(slots=True)
class Overheard:
    """What was said, each with where: `the log of httpx`, `an error, an answer or a repr`."""

    said: list[tuple[str, str]] = field(default_factory=list)

    def note(self, place: str, texts: Iterable[str]) -> None:
        """Texts that the case itself found."""
        self.said.extend((place, text) for text in texts)

    def where(self, text: str) -> str:
        """Where a text was heard; empty where it wasn't."""
        return next((place for place, said in self.said if text in said), "")


_hearing: ContextVar[Overheard | None] = ContextVar("hearing", default=None)


class _Ear(logging.Handler):
    """Hears every record, with its traceback and with what was given as `extra`."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if (heard := _hearing.get()) is not None:
            more = {name: value for name, value in vars(record).items() if name not in _USUAL}
            heard.note(f"the log of {record.name}", [f"{self.format(record)} {more!r}"])


class _Tee:
    """A stream that also tells whoever listens."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Printed by somebody who is listened to, it is heard; the screen is spared."""
        if (heard := _hearing.get()) is not None:
            heard.note("what was printed", [text])
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Listening:
    """Installed while anybody listens."""

    def __init__(self) -> None:
        self._listeners = 0
        self._undo = ExitStack()

    def begin(self) -> None:
        """The first listener installs the ears."""
        self._listeners += 1
        if self._listeners == 1:
            self._install()

    def end(self) -> None:
        """The last listener takes them away."""
        self._listeners -= 1
        if not self._listeners:
            self._undo.close()

    def _install(self) -> None:
        root, ear = logging.getLogger(), _Ear()
        self._undo.callback(root.setLevel, root.level)
        self._undo.callback(root.removeHandler, ear)
        self._undo.callback(logging.disable, root.manager.disable)
        root.addHandler(ear)
        root.setLevel(logging.DEBUG)
        logging.disable(logging.NOTSET)
        self._replace(sys, "stdout", _Tee(sys.stdout))
        self._replace(sys, "stderr", _Tee(sys.stderr))
        self._replace(warnings, "showwarning", _shown(warnings.showwarning))

    def _replace(self, module: Any, name: str, value: Any) -> None:
        self._undo.callback(setattr, module, name, getattr(module, name))
        setattr(module, name, value)


def _shown(before: Callable[..., None]) -> Callable[..., None]:
    def show(message: Any, *args: Any, **kwargs: Any) -> None:
        if (heard := _hearing.get()) is not None:
            heard.note("a warning", [str(message)])
        else:
            before(message, *args, **kwargs)

    return show


_listening: Final = _Listening()


@contextmanager
def overhear() -> Iterator[Overheard]:
    """Listen to every logger at every level, to warnings, and to what is printed."""
    heard = Overheard()
    before = _hearing.set(heard)
    _listening.begin()
    try:
        yield heard
    finally:
        _listening.end()
        _hearing.reset(before)
