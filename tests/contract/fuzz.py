"""Schemathesis against a whole gateway in this process: cases made from the contracts, each answer held against them.

A case goes as it was made, or steered: with the number of a patient who gave permission, and few of its parameters, so
that it comes past the first refusal and a record is really opened, filtered and written.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import requests
import schemathesis
from fhir.resources.R4B.operationoutcome import OperationOutcome
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.api.http import FHIR_JSON
from tests.flow.stack import GRACE, RAJESH, Stack

BASE: Final = "http://127.0.0.1:8000"
ASKED_AS: Final = ("gp", "hospital-doctor", "privacy-officer")
PATIENT: Final = GRACE
OTHER: Final = RAJESH
"""Whose sharing choice and permissions may be changed: the first one's record stays open."""
_CHANGES: Final = frozenset({"/sharing-choices", "/permissions/_withdraw"})
_LONGEST_ADDRESS: Final = 60_000
"""Characters: neither the client nor the server's own parser takes more."""
_CHECKS: Final = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass(frozen=True)
class How:
    """How a case goes. `keep` chooses which of its parameters stay, `who` asks, `real` puts real ids in."""

    who: str
    real: bool
    keep: tuple[int, ...]


HOW: Final = st.builds(
    How,
    who=st.sampled_from(ASKED_AS),
    real=st.booleans(),
    keep=st.lists(st.integers(0, 40), max_size=3).map(tuple),
)


@dataclass
class Fuzz:
    """What the cases are sent to, and what came of them."""

    stack: Stack
    runner: asyncio.Runner
    ids: dict[str, list[str]]
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """How many cases were answered."""
        return sum(self.seen.values())

    def run(self, contract: dict[str, Any], cases: int, *, derandomize: bool) -> None:
        """Send that many cases of this contract, half of them wrong on purpose. Raises what a check finds."""
        schema = schemathesis.openapi.from_dict(contract)
        modes = {GenerationMode.POSITIVE: cases - cases // 2, GenerationMode.NEGATIVE: cases // 2}
        for mode, count in modes.items():
            self._given(schema.as_strategy(mode), count, derandomize=derandomize)()

    def _given(self, strategy: st.SearchStrategy[Case], count: int, *, derandomize: bool) -> Callable[[], None]:
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            derandomize=derandomize,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy, how=HOW)
        def one(case: Case, how: How) -> None:
            self.check(case, how)

        return one

    def check(self, case: Case, how: How) -> None:
        """Send one case and hold its answer against the contract."""
        if how.real:
            self._steer(case, how)
        answer = self.runner.run(self._send(case, how.who))
        self.seen[f"{case.method} {case.operation.path}", answer.status_code] += 1
        _check_outcome(answer)
        if answer.status_code == 503:
            raise AssertionError(f"503 with every source up: {answer.text}")
        case.validate_response(answer, checks=[not_a_server_error, *_CHECKS])

    def _steer(self, case: Case, how: How) -> None:
        """Few parameters, and the patient's number wherever one is asked for."""
        query = dict(case.query or {})
        names = sorted(query)
        kept = {names[each % len(names)] for each in how.keep} if names else set()
        case.query = {name: query[name] for name in kept}
        if "patient" in query:
            case.query["patient"] = PATIENT
        if "identifier" in query:
            case.query["identifier"] = f"https://fhir.nhs.uk/Id/nhs-number|{PATIENT}"
        for name in case.path_parameters or {}:
            case.path_parameters[name] = self._id_for(case, how)
        if isinstance(case.body, dict):
            case.body = {**case.body, **self._steered_body(case)}

    def _steered_body(self, case: Case) -> dict[str, Any]:
        path = case.operation.path
        if "nhsNumber" in case.body:
            return {"nhsNumber": OTHER if path in _CHANGES else PATIENT}
        if path.endswith("/_search") and "patient" in case.body:
            return {"patient": PATIENT}
        return {}

    def _id_for(self, case: Case, how: How) -> str:
        kind = case.operation.path.removeprefix("/fhir/R4").strip("/").split("/")[0]
        known = self.ids.get(kind) or [PATIENT]
        return known[sum(how.keep) % len(known)]

    async def _send(self, case: Case, who: str) -> httpx2.Response:
        kwargs = case.as_transport_kwargs(base_url=BASE)
        kwargs.pop("verify", None)
        kwargs.pop("auth", None)
        kwargs["headers"] = {**kwargs["headers"], "Authorization": f"Bearer {self.stack.token(who)}"}
        prepared = requests.Request(**kwargs).prepare()
        assume(len(str(prepared.url)) < _LONGEST_ADDRESS)
        return await self.stack.client.request(
            str(prepared.method), str(prepared.url), headers=dict(prepared.headers), content=prepared.body or b""
        )


def _check_outcome(answer: httpx2.Response) -> None:
    """Whatever isn't what was asked for is an OperationOutcome that says something."""
    if answer.status_code < 400:
        return
    assert answer.headers["content-type"].startswith(FHIR_JSON), (answer.status_code, answer.text)
    outcome = json.loads(answer.content)
    OperationOutcome.model_validate(outcome)
    assert all(issue["details"]["text"] for issue in outcome["issue"])
