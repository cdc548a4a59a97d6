"""Spans: one for each request, each step of a look and each call to a source. Nothing in them names anyone.

Off unless `otlp_endpoint` says where they go; only then is OpenTelemetry's SDK imported, so whoever doesn't want it
doesn't pay for it. The tracer is the gateway's own, never the process's global one, through which a library could add
spans with addresses and texts of its own.

A span's attributes are those in `ATTRIBUTES`, and its name is a word of ours. No exception is recorded, only its type.
Every request begins a trace of its own: a `traceparent` from outside is believed from nobody (it would let a stranger
tie requests together, and turn sampling on), and none is sent to a source. What ties a trace to the log and the journal
is the request's id, where that is a UUID; an id of a client's own making might name somebody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

from gateway import log
from gateway.audit.scrub import is_uuid
from gateway.errors import GatewayError
from gateway.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

DOOR: Final = "connect_care.door"
STEP: Final = "connect_care.step"
SOURCE: Final = "connect_care.source"
OUTCOME: Final = "connect_care.outcome"
RULE: Final = "connect_care.rule"
REQUEST_ID: Final = "connect_care.request_id"
STATUS: Final = "http.response.status_code"
ERROR: Final = "error.type"

ATTRIBUTES: Final[Mapping[str, str]] = {
    DOOR: "The route's method and template",
    STATUS: "The status of the answer",
    REQUEST_ID: "The request's id, where it is a UUID: the same as in the log and the journal",
    STEP: "Which of the eleven steps",
    SOURCE: "The ODS code of a source with an entry of its own, or gp-practice",
    OUTCOME: "What became of an Ask",
    RULE: "The rule that refused",
    ERROR: "The type of an error, never its text",
}
"""Every attribute that a span may have, and what it means."""

Value = str | int
_TIMEOUT: Final = 5.0


class _Spans:
    """Where spans go; None while they are off."""

    provider: TracerProvider | None = None


class Span:
    """A span that is under way, and the current one until it ends. It ends in the task that began it."""

    __slots__ = ("_span", "_token")

    def __init__(self, provider: TracerProvider, name: str, attributes: Mapping[str, Value], *, is_first: bool) -> None:
        from opentelemetry import context, trace

        tracer = provider.get_tracer("connect-care", VERSION)
        around = context.Context() if is_first else None  # an empty one: whatever came from outside is no parent
        self._span = tracer.start_span(name, context=around, attributes=_allowed(attributes))
        self._token = context.attach(trace.set_span_in_context(self._span, around))

    def end(
        self,
        *,
        name: str | None = None,
        attributes: Mapping[str, Value] | None = None,
        error: BaseException | None = None,
    ) -> None:
        """It ended, in this error where there was one."""
        from opentelemetry import context
        from opentelemetry.trace import Status, StatusCode

        if name is not None:
            self._span.update_name(log.cleaned(name))
        self._span.set_attributes(_allowed({**(attributes or {}), **_of_error(error)}))
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR))
        context.detach(self._token)
        self._span.end()


def begin(name: str, attributes: Mapping[str, Value], *, is_first: bool = False) -> Span | None:
    """A span within the current one, or the first of a trace; None while spans are off.

    Raises NotAllowed for an attribute that isn't in ATTRIBUTES; in production that is left out.
    """
    provider = _Spans.provider
    return None if provider is None else Span(provider, name, attributes, is_first=is_first)


def of_request(request_id: str) -> Mapping[str, Value]:
    """What a request's span says of it from the beginning."""
    return {REQUEST_ID: request_id} if is_uuid(request_id) else {}


class Sending(Protocol):
    """What says where spans go (OTLP over HTTP, protobuf; None: nowhere), and which share of all traces."""

    @property
    def otlp_endpoint(self) -> str | None: ...
    @property
    def traces_ratio(self) -> float: ...


@asynccontextmanager
async def traced(settings: Sending) -> AsyncIterator[None]:
    """Within the block spans are sent, if they are to be. At its end it waits for the collector, within bounds."""
    if settings.otlp_endpoint is None:
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    use(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint, timeout=_TIMEOUT)), settings.traces_ratio)
    try:
        yield
    finally:
        await asyncio.to_thread(stop)


def use(processor: SpanProcessor, ratio: float = 1.0) -> None:
    """From now on spans go there."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    about = Resource({"service.name": "connect-care", "service.version": VERSION})  # nothing of the machine
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(ratio)), resource=about, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    _Spans.provider = provider


def stop() -> None:
    """Send what is there, and no more after it."""
    provider, _Spans.provider = _Spans.provider, None
    if provider is not None:
        provider.shutdown()


def _allowed(attributes: Mapping[str, Value]) -> dict[str, Value]:
    unknown = attributes.keys() - ATTRIBUTES.keys()
    if unknown:
        log.refuse(f"no span has {sorted(unknown)}")
    return {name: log.cleaned(value) for name, value in attributes.items() if name in ATTRIBUTES}


def _of_error(error: BaseException | None) -> dict[str, Value]:
    if error is None:
        return {}
    rule = {RULE: error.rule} if isinstance(error, GatewayError) else {}
    return {ERROR: log.type_of(error), **rule}
