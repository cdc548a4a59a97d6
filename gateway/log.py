"""Structured logs: one JSON object a line on stderr, by allow-list.

`event("source.answered", source="RJ2", took_ms=41)` is the only way in for our own code: a stable event id and keys
from `KEYS`. There is no key for a header, a body, a name, an NHS number or a path as it was called, so none can be
logged by mistake; the modulus-11 scrub behind it catches a number that got into a text all the same. What another
library logs passes through the same formatter, cut down to what it can't have copied from a request or a record.

An exception is logged by type and place. Its text isn't, whoever raised it: it may quote the data it choked on.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

import msgspec

from gateway.audit.scrub import scrub, scrub_id

Value = str | int | float | bool | None | Sequence[str] | Sequence[int]

KEYS: Final = frozenset({
    "address", "alarm", "at", "attempt", "bytes", "calls", "client_id", "connector", "count", "demo", "detail", "door",
    "error", "events", "gap", "gaps", "issuer", "kernel", "kind", "method", "organisation", "organisations", "outcome",
    "pid", "policy_hash", "port", "reason", "request_id", "role", "row", "rows", "rule", "section", "sections",
    "setting", "signal", "source", "sources", "stage", "state", "status", "took_ms", "version",
})  # fmt: skip
"""Every key an event may have. `door` is a route's template, `detail` a sentence of ours, `at` a file and a line.

`reason` is a stable code, never the sentence that a person gave.
"""

_EVENT: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)+", re.ASCII)
_LONGEST: Final = 500
_MOST_VALUES: Final = 50
_MOST_LINKS: Final = 4
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
    threading.excepthook = _log_uncaught_in_thread


def event(event_id: str, /, *, level: int = logging.INFO, **fields: Value) -> None:
    """Log that something happened.

    Raises NotAllowed for an event id that isn't `noun.what-happened`, or for a key or value that isn't allowed. In
    production those are dropped and counted instead: a wrong log call never costs a patient's record.
    """
    if not (_Strictness.raises or _LOGGER.isEnabledFor(level)):
        return
    if not _EVENT.fullmatch(event_id):
        _refuse(f"an event id reads noun.what-happened, unlike {event_id[:40]!r}")
        event_id = "log.unnamed"
    allowed = {key: _clean(value) for key, value in fields.items() if key in KEYS and _is_value(value)}
    if len(allowed) < len(fields):
        _refuse(f"{event_id}: keys or values that the log doesn't take: {sorted(fields.keys() - allowed.keys())}")
        allowed["dropped"] = len(fields) - len(allowed)
    _LOGGER.log(level, event_id, extra={_FIELDS: allowed})


def failed(event_id: str, error: BaseException, /, *, level: int = logging.WARNING, **fields: Value) -> None:
    """Log that something failed, with the type and the place of the exception and never its text."""
    event(event_id, level=level, error=_type_of(error), at=_place_of(error.__traceback__), **fields)


def _refuse(why: str) -> None:
    if _Strictness.raises:
        raise NotAllowed(why)


def _is_value(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(each, str | int) for each in value)
    return value is None or isinstance(value, str | int | float)


def _clean(value: Any) -> Any:
    """The value as it may be written: short, and without anything that could be an NHS number."""
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value[:_MOST_VALUES]]
    if isinstance(value, str):
        return scrub_id(value[: 2 * _LONGEST])[:_LONGEST]  # cut last: half a number would pass the scrub
    if isinstance(value, bool) or value is None:
        return value
    return value if scrub(str(value)) == str(value) else scrub(str(value))


def _type_of(error: BaseException) -> str:
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


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's own name)
        """The standard one prints the message and its arguments; nothing may get past the formatter."""
        with contextlib.suppress(Exception):
            self.stream.write(f'{{"event":"log.unwritable","logger":"{record.name[:60]}"}}\n')


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
        "logger": record.name,
        "message": _clean(message.partition("\n")[0]),
    }
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        fields |= {"error": _type_of(error), "at": _place_of(error.__traceback__)}
    return fields


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
