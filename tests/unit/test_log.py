"""Logs: stable events, listed keys, and nothing of a patient or a token, whoever logs."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, Final

import pytest
import uvicorn

from gateway import log
from gateway.log_events import EVENTS
from tests.logs import untouched

NHS_NUMBER: Final = "9990000018"


class Sink(io.StringIO):
    """A stream whose lines can be read as objects."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]


class Unraisable:
    """What the interpreter hands to `sys.unraisablehook`."""

    def __init__(self, error: BaseException | None, thing: object) -> None:
        self.exc_value, self.object = error, thing


@pytest.fixture(autouse=True)
def _untouched() -> Iterator[None]:
    """Every test leaves the process's logging as it found it."""
    with untouched():
        yield


@pytest.fixture
def sink() -> Sink:
    stream = Sink()
    log.setup(production=False, stream=stream)
    return stream


@pytest.fixture
def production() -> Sink:
    stream = Sink()
    log.setup(production=True, stream=stream)
    return stream


def test_an_event_is_one_line_of_json_with_its_time(sink: Sink) -> None:
    log.event("shadow.looked", sources=["RJ2"], outcome="answered", took_ms=41.5, count=3)
    (line,) = sink.lines
    assert line.pop("at_utc").endswith("Z")
    assert line == {
        "level": "info",
        "event": "shadow.looked",
        "sources": ["RJ2"],
        "outcome": "answered",
        "took_ms": 41.5,
        "count": 3,
    }


def test_a_text_can_not_start_a_line_of_its_own(sink: Sink) -> None:
    log.event("launch.refused", detail='x\n{"event":"source.answered"}', rule=None)
    assert len(sink.lines) == 1
    assert sink.last["rule"] is None


WRONG: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "a header": ("launch.refused", {"authorization": "Bearer x"}),
    "a body": ("launch.refused", {"body": "{}"}),
    "a name": ("launch.refused", {"name": "A"}),
    "a path as called": ("launch.refused", {"path": "/fhir/R4/Patient/1"}),
    "an NHS number": ("launch.refused", {"nhs_number": NHS_NUMBER}),
    "an object as a value": ("launch.refused", {"detail": {"resourceType": "Patient"}}),
    "objects in a list": ("launch.refused", {"detail": [{"a": 1}]}),
    "bytes": ("launch.refused", {"detail": b"x"}),
    "a key of other events": ("launch.refused", {"sources": ["RJ2"]}),
    "an event that isn't listed": ("launch.done", {}),
    "an event that is a sentence": ("Request done.", {}),
    "an event with data in it": (f"request.{NHS_NUMBER} done", {}),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_log_call_is_an_error_before_production(name: str) -> None:
    event, fields = WRONG[name]
    with pytest.raises(log.NotAllowed):
        log.event(event, **fields)


@pytest.mark.parametrize("name", WRONG)
def test_in_production_what_is_not_allowed_is_dropped_and_counted(name: str, production: Sink) -> None:
    event, fields = WRONG[name]
    log.event(event, rule="no-role", **fields)
    is_listed = event in EVENTS
    assert production.last.get("rule") == ("no-role" if is_listed else None)
    assert production.last["event"] == (event if is_listed else "log.unnamed")
    assert production.last["dropped"] == len(fields) + (not is_listed)
    assert not any(key in production.last for key in fields)
    assert NHS_NUMBER not in production.getvalue()


def test_nhs_numbers_are_taken_out_of_every_value(sink: Sink) -> None:
    log.event(
        "shadow.looked",
        outcome=f"no patient {NHS_NUMBER[:3]} {NHS_NUMBER[3:6]} {NHS_NUMBER[6:]}",
        sources=[NHS_NUMBER, "RJ2"],
        count=int(NHS_NUMBER),
        took_ms=float(NHS_NUMBER),
    )
    log.event("cds.too-late", request_id="6f9619ff-8b86-4011-b42d-00cf4fc964ff")
    text = sink.getvalue()
    assert NHS_NUMBER not in text
    assert NHS_NUMBER[3:6] + " " not in text
    assert sink.lines[0]["sources"] == ["[nhs-number]", "RJ2"]
    assert sink.last["request_id"] == "6f9619ff-8b86-4011-b42d-00cf4fc964ff"


def test_long_values_are_cut_after_the_scrub(sink: Sink) -> None:
    log.event("shadow.looked", outcome="x" * 494 + " " + NHS_NUMBER + "y" * 5000, sources=["a"] * 500)
    assert len(sink.last["outcome"]) == 500
    assert NHS_NUMBER[:5] not in sink.last["outcome"]
    assert len(sink.last["sources"]) == 50


def test_a_failure_is_its_type_and_place_never_its_text(sink: Sink) -> None:
    try:
        json.loads(f"patient {NHS_NUMBER} CANARY")
    except ValueError as error:
        log.failed("source.connect-failed", error, source="RJ2")
    assert sink.last["error"] == "json.decoder.JSONDecodeError"
    assert sink.last["at"].startswith("json/decoder.py:")
    assert sink.last["level"] == "warning"
    assert "CANARY" not in sink.getvalue()


def test_a_failure_that_was_never_raised_has_no_place(sink: Sink) -> None:
    log.failed("source.connect-failed", KeyError("CANARY"))
    assert (sink.last["error"], sink.last["at"]) == ("KeyError", "")


def test_a_failure_names_what_it_came_from(sink: Sink) -> None:
    def translate(hide: bool) -> None:
        try:
            raise OSError("CANARY")
        except OSError as error:
            raise ValueError("CANARY") from (None if hide else error)

    for hide, said in ((False, "ValueError < OSError"), (True, "ValueError")):
        try:
            translate(hide)
        except ValueError as error:
            log.failed("source.connect-failed", error)
        assert sink.last["error"] == said


def test_the_place_of_our_own_code_is_relative(sink: Sink) -> None:
    try:
        raise RuntimeError("CANARY")
    except RuntimeError as error:
        log.failed("source.connect-failed", error)
    assert sink.last["at"].rpartition(":")[0].endswith("test_log.py")
    assert not sink.last["at"].startswith("/")


def test_quiet_events_are_not_written_but_still_checked(sink: Sink) -> None:
    log.event("keys.refreshed", level=logging.DEBUG, count=1)
    assert sink.lines == []
    with pytest.raises(log.NotAllowed):
        log.event("keys.refreshed", level=logging.DEBUG, name="A")


def test_in_production_quiet_events_cost_nothing(production: Sink) -> None:
    log.event("keys.refreshed", level=logging.DEBUG, name="A")
    assert production.lines == []


def test_uvicorn_speaks_through_the_same_formatter_and_its_access_log_is_off(sink: Sink) -> None:
    config = uvicorn.Config(lambda: None, **log.UVICORN)
    assert config.access_log is False
    logging.getLogger("uvicorn.error").info("Uvicorn running on %s:%d", "127.0.0.1", 8000)
    assert sink.last["message"] == "Uvicorn running on 127.0.0.1:8000"
    assert sink.last["event"] == "library.logged"
    before = len(sink.lines)
    logging.getLogger("uvicorn.access").critical('"GET /fhir/R4/Patient/%s"', NHS_NUMBER)
    assert len(sink.lines) == before


def test_what_a_library_was_given_is_not_written(sink: Sink) -> None:
    logging.getLogger("httpx2").info("HTTP Request: %s", "CANARY")
    assert sink.lines == []
    logging.getLogger("somebody.else").warning("can't parse %s\nCANARY", "CANARY")
    assert sink.last["message"] == "can't parse %s"
    logging.getLogger("asyncio").error(f"Task exception was never retrieved {NHS_NUMBER}\nfuture: CANARY")
    assert sink.last["message"] == "Task exception was never retrieved [nhs-number]"
    assert "CANARY" not in sink.getvalue()


def test_an_exception_in_a_library_is_its_type_and_place(sink: Sink) -> None:
    try:
        raise ValueError("CANARY")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    assert (sink.last["error"], sink.last["message"]) == ("ValueError", "Exception in ASGI application")
    assert "test_log.py:" in sink.last["at"]
    assert "CANARY" not in sink.getvalue()
    logging.getLogger("uvicorn.error").error("no exception here", exc_info=True)
    assert "error" not in sink.last


def test_warnings_are_logged_with_their_place(sink: Sink) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old ways", UserWarning, stacklevel=1)
    logging.captureWarnings(False)
    assert "UserWarning: old ways" in sink.last["message"]


def test_a_record_that_can_not_be_formatted_leaks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    sink = Sink()
    log.setup(production=True, stream=sink)  # here, after pytest's own handlers: they would raise
    logging.getLogger("uvicorn.error").error("%d patients", "CANARY")
    assert sink.last == {"event": "log.unwritable", "logger": "uvicorn.error"}
    assert "CANARY" not in sink.getvalue() + "".join(capsys.readouterr())


def test_a_stream_that_is_gone_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Sink()
    log.setup(production=True, stream=stream)
    stream.close()
    log.event("keys.refreshed", issuer="CANARY")
    assert "CANARY" not in "".join(capsys.readouterr())


def test_uncaught_exceptions_are_logged_without_their_text(sink: Sink) -> None:
    error = ValueError("CANARY")
    sys.excepthook(ValueError, error, None)
    assert (sink.last["event"], sink.last["level"]) == ("process.uncaught", "critical")

    def fail() -> None:
        raise error

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert (sink.last["event"], sink.last["error"]) == ("thread.uncaught", "ValueError")
    assert "CANARY" not in sink.getvalue()


def test_an_error_in_a_finaliser_is_logged_without_its_text(sink: Sink) -> None:
    sys.unraisablehook(Unraisable(ValueError("CANARY"), "CANARY"))
    assert (sink.last["event"], sink.last["error"]) == ("process.unraisable", "ValueError")
    sys.unraisablehook(Unraisable(None, "CANARY"))
    assert "CANARY" not in sink.getvalue()
    assert len(sink.lines) == 1


def test_an_interrupt_and_an_exit_without_a_value_are_no_failures(sink: Sink) -> None:
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    threading.excepthook(threading.ExceptHookArgs((SystemExit, None, None, None)))
    assert sink.lines == []


def test_by_default_it_goes_to_stderr_alone() -> None:
    code = """
from gateway import log
from gateway.log_events import EVENTS
log.setup(production=True)
log.event("gateway.stopped", version="1")
raise OSError("CANARY")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["gateway.stopped", "process.uncaught"]
    assert "CANARY" not in done.stderr
