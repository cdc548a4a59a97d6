"""Each case refuses what a client must not have seen: no row of the table can be filled by chance."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.clients.cases import CASES, World, signals
from tests.clients.fences import Fence, fences, script

WORLD = World(
    authorize="http://idp/authorize",
    token="http://idp/token",
    patient="9990000409",
    observation="Observation/o1",
    encounters=["Encounter/e1", "Encounter/e2"],
    everything=["Patient/9990000409", "Encounter/e1"],
    observations=["Observation/o1", "Observation/o2"],
    allergies=["AllergyIntolerance/a1"],
    silent="G85005",
    silent_name="South Lewisham Group Practice",
)
ENCOUNTERS: dict[str, Any] = {"total": 2, "ids": ["Encounter/e2", "Encounter/e1"]}
TOLD = "South Lewisham Group Practice could not be asked: allergies are missing from this answer."
RIGHT: dict[str, dict[str, Any]] = {
    "discovery": {"fhirVersion": "4.0.1", "authorize": "http://idp/authorize", "token": "http://idp/token"},
    "sign-in": {"id": "9990000409"},
    "search": ENCOUNTERS,
    "context": ENCOUNTERS,
    "post-search": ENCOUNTERS,
    "read": {"patient": "9990000409", "observation": "o1"},
    "paging": {"total": 2, "ids": ["Observation/o1", "Observation/o2"], "pages": 2},
    "everything": {"total": 2, "ids": ["Patient/9990000409", "Encounter/e1"]},
    "batch": {
        "statuses": [200, 200, 404],
        "searched": ENCOUNTERS,
        "read": "9990000409",
        "missing": {"code": "not-found", "told": "no"},
    },
    "compartment": ENCOUNTERS,
    "totals": {"total": 2},
    "forbidden": {"status": 403, "code": "suppressed", "told": "then POST /permissions", "retryAfter": None},
    "not-found": {"status": 404, "code": "not-found", "told": "There is no such Observation for you here."},
    "too-many": {"status": 429, "code": "throttled", "told": "Try again in 9 seconds.", "retryAfter": "9"},
    "partial": {"ids": ["AllergyIntolerance/a1"], "tags": ["RJ2=answered", "G85005=failed;missing=allergies"]},
    "unavailable": {"status": 503, "code": "transient", "told": "Try again shortly.", "retryAfter": "10"},
}
WRONG: list[tuple[str, str, Any]] = [
    ("discovery", "fhirVersion", "3.0.1"),
    ("discovery", "authorize", "http://elsewhere/authorize"),
    ("discovery", "token", "http://elsewhere/token"),
    ("discovery", "challenge", "plain"),
    ("sign-in", "id", "9990000476"),
    ("search", "total", 3),
    ("search", "ids", ["Encounter/e1"]),
    ("read", "patient", "9990000476"),
    ("read", "observation", "o2"),
    ("paging", "ids", ["Observation/o1", "Observation/o1"]),
    ("paging", "pages", 1),
    ("paging", "total", 1),
    ("everything", "ids", ["Patient/9990000409"]),
    ("batch", "statuses", [200, 404, 404]),
    ("batch", "searched", {"total": 0, "ids": []}),
    ("batch", "read", "9990000476"),
    ("batch", "missing", {"code": "forbidden"}),
    ("totals", "total", 0),
    ("forbidden", "status", 404),
    ("forbidden", "code", "forbidden"),
    ("forbidden", "told", "no"),
    ("too-many", "retryAfter", None),
    ("unavailable", "retryAfter", ""),
    ("partial", "tags", ["G85005=answered"]),
    ("partial", "tags", ["G85005=failed;missing=results"]),
    ("partial", "ids", []),
]
HOLDS = {case.id: case.holds for case in CASES}


@pytest.mark.parametrize("case", HOLDS)
def test_what_is_right_holds(case: str) -> None:
    assert HOLDS[case](RIGHT[case], WORLD)


@pytest.mark.parametrize(("case", "member", "value"), WRONG)
def test_what_is_wrong_does_not(case: str, member: str, value: Any) -> None:
    assert not HOLDS[case]({**copy.deepcopy(RIGHT[case]), member: value}, WORLD)


@pytest.mark.parametrize(
    ("seen", "survived"),
    [
        ({"header": "RJ2=answered, G85005=timed-out;missing=allergies+medicines"}, {"header"}),
        ({"header": "G85005=answered"}, set()),
        ({"tags": ["G85005=failed;missing=allergies"]}, {"tag"}),
        ({"outcomes": [TOLD]}, {"outcome"}),
        ({"inLists": [TOLD]}, {"outcome in lists"}),
        ({"outcomes": ["South Lewisham Group Practice answered."], "header": None}, set()),
    ],
)
def test_which_signal_survived(seen: dict[str, Any], survived: set[str]) -> None:
    assert {name for name, told in signals(seen, WORLD).items() if told} == survived


def test_fences_are_found_saved_and_run_in_their_order() -> None:
    document = "# A\n\n```\nshown\n```\n\n```sh\necho :8000\n```\n\nSave this as `a.py`:\n\n```python\nprint()\n```\n"
    assert fences(document) == [Fence("", "shown\n"), Fence("sh", "echo :8000\n"), Fence("python", "print()\n", "a.py")]
    made = script(document, {":8000": ":9", "print": "echo :8000"})
    assert made == "echo :9\n\ncat > a.py <<'END-OF-THE-FILE'\necho :8000()\nEND-OF-THE-FILE\n"
