"""What an operator sees of real looks, in metrics and spans: all of what happened, and nothing of whom it was about."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from connectors.fhir_r4.sandbox import create_app as create_sandbox
from connectors.kit.asgi import Receive, Scope, Send
from connectors.kit.sandbox import Sandbox
from connectors.sdk.model import Outcome
from connectors.sdk.nhs_number import is_nhs_number
from gateway.log_events import EVENTS
from gateway.observe import spans
from gateway.observe.requests import NO_ROUTE
from gateway.observe.steps import Step
from gateway.observe.worker import told
from tests.canaries import CANARY
from tests.flow.stack import GRACE, SOURCES, TOMASZ, WINSTON, Stack, running

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "vendor=CANARY-RJ2-0123abcd"}
PERSON = "grace-hopper-9990000409"


class Listening(Sandbox):
    """A sandbox that remembers which headers it was sent."""

    headers: frozenset[str] = frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers |= {name.decode().lower() for name, _ in scope.get("headers", ())}
        await super().__call__(scope, receive, send)


@dataclass
class Seen:
    """What stood in the metrics and went to the collector after the story was over."""

    metrics: str
    spans: list[ReadableSpan]
    asked_with: frozenset[str]
    before: dict[str, float] = field(default_factory=dict)

    def figure(self, name: str, **labels: str) -> float:
        """By how much a sample grew meanwhile."""
        return figures(self.metrics).get(sample(name, labels), 0) - self.before.get(sample(name, labels), 0)

    def now(self, name: str, **labels: str) -> float:
        """A sample's value at the end. Raises KeyError where there is none."""
        return figures(self.metrics)[sample(name, labels)]

    def labels(self, label: str) -> set[str]:
        """Every value that a label has in what changed meanwhile: other tests' figures are in the same process."""
        changed = [name for name, figure in figures(self.metrics).items() if figure != self.before.get(name)]
        return {value for name in changed for value in re.findall(rf'[{{,]{label}="([^"]*)"', name)}


def sample(name: str, labels: dict[str, str]) -> str:
    inner = ",".join(f'{key}="{value}"' for key, value in sorted({**labels, "worker": "0"}.items()))
    return f"connect_care_{name}{{{inner}}}"


def figures(text: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(figure) for name, _, figure in lines}


@pytest.fixture(scope="module")
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    spans.use(SimpleSpanProcessor(exporter))
    yield exporter
    spans.stop()


async def story(stack: Stack) -> None:
    """Looks that go well and looks that don't, by somebody who puts names wherever they can."""
    headers = {**TRACEPARENT, "x-request-id": PERSON, "x-correlation-id": GRACE}
    everything = f"/fhir/R4/Patient/{GRACE}/$everything"
    assert (await stack.get(everything, headers=headers)).status_code == 403
    await stack.agree(GRACE)
    assert (await stack.get(everything, headers=headers)).status_code == 200
    live = await stack.get(everything, headers={"accept": "text/event-stream", **headers})
    assert live.status_code == 200
    assert (await stack.get(f"/fhir/R4/Observation?patient={GRACE}&_count=1")).status_code == 200
    assert (await stack.get(f"/fhir/R4/Observation?patient={GRACE}&{GRACE}={PERSON}")).status_code == 400
    for wrong in (f"/Patient/{GRACE}", f"/{PERSON}", f"/fhir/R4/Nothing/{GRACE}"):
        assert (await stack.get(wrong, headers=headers)).status_code == 404
    assert (await stack.client.request("GRACE", "/sources")).status_code == 405
    assert (await stack.client.get("/sources", headers={"authorization": f"Bearer {PERSON}"})).status_code == 401
    await stack.agree(TOMASZ)
    stack.make("RJ2", "lying")
    stack.make("709", "broken")
    assert (await stack.everything(TOMASZ)).status_code == 200
    await stack.choose(WINSTON, "opted-out")
    assert (await stack.everything(WINSTON)).status_code == 403
    async with stack.signed_in("gp") as here:
        assert (await here.get("/")).status_code == 200


@pytest.fixture(scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory, exporter: InMemorySpanExporter) -> AsyncIterator[Seen]:
    data = tmp_path_factory.mktemp("observed")
    trust = create_sandbox("RJ2", canaries=True)
    trust.__class__ = Listening
    assert isinstance(trust, Listening)
    async with running(data, others={"RJ2": trust}, audit_sink=data / "sink.jsonl") as stack:
        before = figures((await told(stack.parts, 0)).decode())
        exporter.clear()
        await story(stack)
        metrics = (await told(stack.parts, 0)).decode()
        yield Seen(metrics, list(exporter.get_finished_spans()), trust.headers, before)


async def test_what_happened_is_counted_and_whom_it_was_about_is_not(seen: Seen) -> None:
    assert all(seen.figure("step_seconds_count", step=each.value) >= 2 for each in Step)
    assert seen.figure("source_answers_total", source="G85005", outcome="answered") >= 3
    assert seen.figure("source_answers_total", source="709", outcome="failed") == 1
    assert seen.figure("source_calls_total", source="RJ2") >= 3
    assert seen.figure("source_seconds_count", source="RJ2") == 4
    assert seen.figure("source_alarms_total", source="RJ2", kind="wrong-patient") >= 1
    assert seen.now("source_breakers", source="RJ2", state="closed") == 1
    assert seen.now("source_breakers", source="RJ2", state="open") == 0
    assert seen.figure("answers_total", door="GET /fhir/R4/Patient/{patient}/$everything", status="2xx") == 3
    assert seen.figure("answers_total", door=NO_ROUTE, status="4xx") >= 2
    assert seen.figure("answers_total", door="(other) /sources", status="4xx") == 1
    assert seen.figure("refusals_total", rule="choice.opted-out") == 1
    assert seen.figure("sessions_total", whose="staff", what="began") == 1
    assert seen.figure("journal_rows") >= 10
    assert 0 < seen.figure("journal_commit_seconds_count") <= seen.figure("journal_batch_jobs_sum")
    assert seen.now("audit_copies") == 1
    assert seen.now("audit_copy_lag_rows", copy="sink") >= 0
    assert seen.now("unmeasured", what="checkpoint") == seen.now("unmeasured", what="copies") == 0
    assert seen.now("disk_free_bytes", place="store") > 0
    assert seen.figure("look_wait_seconds_count") >= 4


async def test_every_label_is_a_word_of_our_own(seen: Seen) -> None:
    assert seen.labels("source") <= {*SOURCES, "gp-practice"}
    assert seen.labels("step") == {each.value for each in Step}
    assert seen.labels("outcome") <= {each.value for each in Outcome} | {"search-answered", "search-failed"}
    assert seen.labels("event") <= set(EVENTS)
    assert seen.labels("worker") == {"0"}
    doors = seen.labels("door")
    assert all(re.fullmatch(r"(?:[A-Z]+|\(other\)) /[a-zA-Z0-9/{}$_.:-]*|\(no route\)", door) for door in doors), doors


async def test_nothing_of_a_patient_or_a_person_is_in_metrics_or_spans(seen: Seen) -> None:
    named = "\n".join(line.rpartition(" ")[0] for line in seen.metrics.splitlines())  # figures are nobody's
    sent = "\n".join(each.to_json() for each in seen.spans)
    for text in (named, sent):
        assert not CANARY.search(text.encode())
        assert "hopper" not in text
        assert "Bearer" not in text
        assert not [run for run in re.findall(r"(?<![0-9a-f])[0-9]{10}(?![0-9a-f])", text) if is_nhs_number(run)]


async def test_spans_say_what_their_list_says_and_no_more(seen: Seen) -> None:
    assert {name for each in seen.spans for name in each.attributes or {}} == set(spans.ATTRIBUTES)
    assert not any(each.events or each.links for each in seen.spans)
    assert not any(each.status.description for each in seen.spans)
    (about,) = {tuple(sorted(each.resource.attributes)) for each in seen.spans}
    assert about == ("service.name", "service.version")


async def test_steps_and_calls_to_sources_lie_within_their_request(seen: Seen) -> None:
    by_id = {span_id(each): each for each in seen.spans}
    roots = [each for each in seen.spans if each.parent is None]
    assert {(each.attributes or {}).get(spans.DOOR) for each in roots} == {each.name for each in roots}
    for each in seen.spans:
        if each.name.startswith("step "):
            assert by_id[parent_id(each)] in roots, each.name
        elif each.name == "source" and each.attributes:
            assert by_id[parent_id(each)].name in {"step fan-out", *(root.name for root in roots)}
    refused = [each for each in seen.spans if each.name == "step authority" and not each.status.is_ok]
    assert {(each.attributes or {})[spans.RULE] for each in refused} == {"permission.none"}


async def test_a_trace_is_taken_from_nobody_and_given_to_nobody(seen: Seen) -> None:
    assert not [each for each in seen.spans if f"{each.get_span_context().trace_id:032x}" == TRACE]
    assert not seen.asked_with & {"traceparent", "tracestate", "baggage", "x-correlation-id"}
    requests = {(each.attributes or {}).get(spans.REQUEST_ID) for each in seen.spans if each.parent is None}
    assert PERSON not in requests
    assert any(requests - {None}), "a request id that is a UUID ties the trace to the journal"


def span_id(span: ReadableSpan) -> int:
    return int(span.get_span_context().span_id)


def parent_id(span: ReadableSpan) -> int:
    assert span.parent is not None
    return int(span.parent.span_id)
