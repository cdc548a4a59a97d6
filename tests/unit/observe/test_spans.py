"""Spans go where the settings say, with what their list allows, and cost nothing where they are off."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway import log
from gateway.app import NO_TELEMETRY
from gateway.errors import NotFound
from gateway.observe import spans
from tests.nhs_numbers import digits, written


@contextmanager
def collected() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    spans.use(SimpleSpanProcessor(exporter))
    try:
        yield exporter
    finally:
        spans.stop()


@contextmanager
def in_production() -> Iterator[None]:
    before, log._Strictness.raises = log._Strictness.raises, False
    try:
        yield
    finally:
        log._Strictness.raises = before


def one(exporter: InMemorySpanExporter) -> dict[str, Any]:
    (span,) = exporter.get_finished_spans()
    return {"name": span.name, **(span.attributes or {})}


def test_off_is_no_span_at_all() -> None:
    assert spans.begin("request", {}) is None
    spans.stop()


def test_an_attribute_that_is_not_listed_is_an_error_before_production() -> None:
    with collected(), pytest.raises(log.NotAllowed, match=r"url\.path"):
        spans.begin("request", {"url.path": "/fhir/R4/Patient/9990000018"})


def test_in_production_it_is_left_out() -> None:
    with collected() as exporter, in_production():
        span = spans.begin("request", {"url.path": "/", spans.STEP: "merge"}, is_first=True)
        assert span is not None
        span.end(attributes={"enduser.id": "somebody"})
    assert one(exporter) == {"name": "request", spans.STEP: "merge"}


@given(st.sampled_from(sorted(spans.ATTRIBUTES)), written())
def test_no_number_gets_into_a_span(attribute: str, number: str) -> None:
    with collected() as exporter:
        span = spans.begin("request", {attribute: number, spans.STATUS: 200}, is_first=True)
        assert span is not None
        span.end(name=f"GET /{number}", error=NotFound(f"no patient {number}", rule=f"no-{number}", detail=number))
        (finished,) = exporter.get_finished_spans()
    said = f"{finished.name} {dict(finished.attributes or {})} {finished.status.description}"
    assert digits(number) not in digits(said)
    assert finished.events == ()


def test_an_error_is_its_type_and_its_rule() -> None:
    with collected() as exporter:
        span = spans.begin("step choice", {}, is_first=True)
        assert span is not None
        span.end(error=NotFound("There is nothing. CANARY", rule="route.unknown"))
        (finished,) = exporter.get_finished_spans()
    assert dict(finished.attributes or {}) == {spans.ERROR: "gateway.errors.NotFound", spans.RULE: "route.unknown"}
    assert finished.status.description is None
    assert not finished.status.is_ok


@pytest.mark.parametrize("request_id", ["grace-hopper", "9990000018", "", "6f9619ff-8b86-4011-b42d-00cf4fc964f"])
def test_a_request_id_of_a_clients_own_making_is_in_no_span(request_id: str) -> None:
    assert spans.of_request(request_id) == {}


def test_a_request_id_that_is_a_uuid_is() -> None:
    one_id = "6f9619ff-8b86-4011-b42d-00cf4fc964ff"
    assert spans.of_request(one_id) == {spans.REQUEST_ID: one_id}


async def test_spans_of_tasks_lie_within_the_span_that_started_them() -> None:
    async def call(source: str) -> None:
        span = spans.begin("source", {spans.SOURCE: source})
        await asyncio.sleep(0)
        assert span is not None
        span.end(attributes={spans.OUTCOME: "answered"})

    with collected() as exporter:
        around = spans.begin("request", {}, is_first=True)
        await asyncio.gather(call("RJ2"), call("709"))
        assert around is not None
        around.end()
        *within, outer = exporter.get_finished_spans()
    assert len(within) == 2
    assert all(each.parent is not None and each.parent.span_id == outer.context.span_id for each in within)


def test_a_library_gets_no_tracer_of_ours_and_fastapi_has_none_of_its_own() -> None:
    with collected() as exporter:
        with trace.get_tracer("a library").start_as_current_span("/fhir/R4/Patient/9990000018"):
            pass
        assert exporter.get_finished_spans() == ()
    assert not any(NO_TELEMETRY.values())


def test_nothing_of_the_sdk_is_imported_while_spans_are_off() -> None:
    code = "import sys, gateway.app; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout.strip() == "[]"


@dataclass
class To:
    """As much of the settings as says where spans go."""

    otlp_endpoint: str | None
    traces_ratio: float = 1.0


async def test_a_collector_gets_them_by_otlp() -> None:
    received: list[tuple[str, str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["Content-Type"], body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        async with spans.traced(To(f"http://127.0.0.1:{server.server_port}/v1/traces")):
            span = spans.begin("step merge", {spans.STEP: "merge"}, is_first=True)
            assert span is not None
            span.end()
        server.shutdown()
        thread.join()
    ((path, kind, body),) = received
    assert (path, kind) == ("/v1/traces", "application/x-protobuf")
    (found,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert [attribute.key for attribute in found.resource.attributes] == ["service.name", "service.version"]
    assert found.scope_spans[0].spans[0].name == "step merge"
    assert spans.begin("request", {}) is None, "nothing is sent after the end"


async def test_without_a_collector_none_are_made() -> None:
    async with spans.traced(To(None)):
        assert spans.begin("request", {}) is None
