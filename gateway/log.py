"""Structured logs: one JSON object a line on stderr, by allow-list.

`event("source.connect-failed", source="RJ2")` is the only way in for our own code: a stable event id and the keys that
`log_events.EVENTS` gives it. There is no key for a header, a body, a name, an NHS number or a path as it was called, so
none can be logged by mistake; the modulus-11 scrub behind it catches a number that got into a text all the same.
What another library logs passes through the same formatter, cut down to what it can't have copied from a request.

An exception is logged by type and place. Its text isn't, whoever raised it: it may quote the data it choked on.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

import msgspec

from gateway.audit.scrub import scrub, scrub_figure, scrub_id
from gateway.log_events import EVENTS

Value = str | int | float | bool | None | Sequence[str] | Sequence[int]

_LONGEST: Final = 500
_LONGEST_READ: Final = 10_000
"""What is scrubbed of a longer text: however much shorter it gets by that, no half number is among the first 500."""
_MOST_VALUES: Final = 50
_MOST_LINKS: Final = 4
_UNNAMED: Final = "log.unnamed"
_COUNTING: Final[list[Callable[[str], None]]] = []
"""Who is told of each event that is written: its id alone."""
_LOGGER: Final = logging.getLogger("connect-care")
_FIELDS: Final = "connect_care_fields"
_SPOKEN: Final = frozenset({"uvicorn", "uvicorn.error", "py.warnings"})
"""Loggers whose messages are written out: they speak of code, addresses, starting and stopping, not of requests."""
_SILENT: Final = ("uvicorn.access",)
_ROOTS: Final = tuple(f"{Path(entry).resolve()}/" for entry in sorted(set(sys.path), key=len, reverse=True) if entry)

UVICORN: Final[Mapping[str, Any]] = {"log_config": None, "access_log": False}
"""For `uvicorn.Config`: log through `setup`, and write no access log, whose lines hold whole URLs."""


class NotAllowed(ValueError):
    """An event id, a key or a value that the log doesn't take: a mistake in our own code."""


class _Strictness:
    """Whether a mistake in a log call is raised (tests, demo) or its key dropped (production)."""

    raises = True


def setup(*, production: bool, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send every log of the process through this module, to stderr unless another stream is given."""
    _Strictness.raises = not production
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_Formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("connect-care", *_SPOKEN):
        logging.getLogger(name).setLevel(level)
    for name in (*_SPOKEN, *_SILENT):
        _reroute(logging.getLogger(name), speaks=name in _SPOKEN)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_uncaught_in_thread


def event(event_id: str, /, *, level: int = logging.INFO, **fields: Value) -> None:
    """Log that something happened.

    Raises NotAllowed for an event that isn't in `EVENTS`, or for a key or value that it doesn't take. In production
    those are dropped and counted instead: a wrong log call never costs a patient's record.
    """
    if not (_Strictness.raises or _LOGGER.isEnabledFor(level)):
        return
    if event_id not in EVENTS:
        refuse(f"there is no event {scrub(event_id[:40])!r} in log_events.EVENTS")
        event_id = _UNNAMED
    keys = EVENTS[event_id].keys
    allowed = {key: cleaned(value) for key, value in fields.items() if key in keys and _is_value(value)}
    if len(allowed) < len(fields):
        refuse(f"{event_id}: keys or values that the log doesn't take: {sorted(fields.keys() - allowed.keys())}")
        allowed["dropped"] = len(fields) - len(allowed)
    _LOGGER.log(level, event_id, extra={_FIELDS: allowed})
    if _LOGGER.isEnabledFor(level):
        for counts in _COUNTING:
            counts(event_id)


def failed(event_id: str, error: BaseException, /, *, level: int = logging.WARNING, **fields: Value) -> None:
    """Log that something failed, with the type and the place of the exception and never its text."""
    event(event_id, level=level, error=type_of(error), at=_place_of(error.__traceback__), **fields)


def count_events(counts: Callable[[str], None]) -> None:
    """From now on `counts` is called with the id of each event that is written."""
    _COUNTING[:] = [counts]


def refuse(why: str) -> None:
    """Raises NotAllowed, but in production: there whoever calls it leaves out what isn't allowed."""
    if _Strictness.raises:
        raise NotAllowed(why)


def _is_value(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(each, str | int) for each in value)
    return value is None or isinstance(value, str | int | float)


def cleaned(value: Any) -> Any:
    """The value as it may be written or sent: short, and without anything that could be an NHS number."""
    if isinstance(value, list | tuple):
        return [cleaned(each) for each in value[:_MOST_VALUES]]
    if isinstance(value, str):
        return scrub_id(value[:_LONGEST_READ])[:_LONGEST]  # cut last: half a number would pass the scrub
    if isinstance(value, bool) or value is None:
        return value
    return scrub_figure(value)


def type_of(error: BaseException) -> str:
    """The type, and what it came from: `gateway.errors.AuditUnavailable < sqlite3.OperationalError`."""
    names: list[str] = []
    link: BaseException | None = error
    while link is not None and len(names) < _MOST_LINKS:
        kind = type(link)
        names.append(kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return " < ".join(names)


def _place_of(trace: TracebackType | None) -> str:
    """File and line of the innermost frame: `gateway/caller/keys.py:120`."""
    if trace is None:
        return ""
    frame, line = list(traceback.walk_tb(trace))[-1]
    return f"{_relative(frame.f_code.co_filename)}:{line}"


def _relative(file: str) -> str:
    return next((file.removeprefix(root) for root in _ROOTS if file.startswith(root)), Path(file).name)


def _reroute(logger: logging.Logger, *, speaks: bool) -> None:
    logger.handlers.clear()
    logger.propagate = speaks
    logger.disabled = not speaks


def _log_uncaught(kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        failed("process.uncaught", error, level=logging.CRITICAL)


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        failed("thread.uncaught", args.exc_value, level=logging.ERROR)


def _log_unraisable(args: sys.UnraisableHookArgs) -> None:
    """The standard one prints the exception's text, and the object that couldn't be finalised."""
    if args.exc_value is not None:
        failed("process.unraisable", args.exc_value, level=logging.ERROR)


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's own name)
        """The standard one prints the message and its arguments; nothing may get past the formatter."""
        with contextlib.suppress(Exception):
            self.stream.write(f'{{"event":"log.unwritable","logger":"{_name_of(record)}"}}\n')


def _name_of(record: logging.LogRecord) -> str:
    return scrub(re.sub(r"[^A-Za-z0-9_.]", "", record.name))[:60]


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, _FIELDS, None)
        line: dict[str, Any] = {"at_utc": _time_of(record), "level": record.levelname.lower()}
        line |= {"event": record.msg, **fields} if fields is not None else _foreign(record)
        return msgspec.json.encode(line).decode()


def _foreign(record: logging.LogRecord) -> dict[str, Value]:
    """What may be said of another library's log record.

    Its message is written only where the library is known to speak of itself; elsewhere the template without its
    arguments, first line only: the arguments, and asyncio's further lines, are where a request's data would be.
    """
    message = record.getMessage() if record.name in _SPOKEN else str(record.msg)
    fields: dict[str, Value] = {
        "event": "library.logged",
        "logger": cleaned(record.name),
        "message": cleaned(message.partition("\n")[0]),
    }
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        fields |= {"error": type_of(error), "at": _place_of(error.__traceback__)}
    return fields


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
