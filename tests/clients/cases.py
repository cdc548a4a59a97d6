"""The clients, the cases, and what a client must have seen in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Seen = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Client:
    """A client of the suite. `cannot` says why it has no way of its own to do a case."""

    package: str
    registry: str
    version: str
    program: str
    cannot: Mapping[str, str]

    @property
    def name(self) -> str:
        """As the table heads its column."""
        return f"{self.registry} `{self.package}` {self.version}"

    @property
    def cases(self) -> list[str]:
        """What it can do."""
        return [case.id for case in CASES if case.id not in self.cannot]


@dataclass(frozen=True, slots=True)
class World:
    """What is true, asked without any of these clients: ids of one patient's attendances, and so on."""

    authorize: str
    token: str
    patient: str
    observation: str
    encounters: list[str]
    everything: list[str]
    observations: list[str]
    allergies: list[str]
    """What can be told of the allergies while the practice is silent."""
    silent: str
    silent_name: str


def _discovered(seen: Seen, world: World) -> bool:
    return (
        seen["fhirVersion"] == "4.0.1"
        and seen["authorize"] == world.authorize
        and seen.get("token", world.token) == world.token
        and bool(seen.get("challenge", "S256") == "S256")
    )


def _encounters(seen: Seen, world: World) -> bool:
    return seen["total"] == len(world.encounters) and sorted(seen["ids"]) == sorted(world.encounters)


def _paged(seen: Seen, world: World) -> bool:
    """All of them, none twice; and in more pages than one, where the client says how many it read."""
    return (
        seen["total"] == len(world.observations)
        and sorted(seen["ids"]) == sorted(world.observations)
        and seen.get("pages", 2) > 1
    )


def _everything(seen: Seen, world: World) -> bool:
    return seen["total"] == len(world.everything) and sorted(seen["ids"]) == sorted(world.everything)


def _batched(seen: Seen, world: World) -> bool:
    """Each entry has its own answer: one that fails leaves the others whole."""
    return (
        seen["statuses"] == [200, 200, 404]
        and _encounters(seen["searched"], world)
        and seen["read"] == world.patient
        and seen["missing"]["code"] == "not-found"
    )


def _read(seen: Seen, world: World) -> bool:
    return seen["patient"] == world.patient and f"Observation/{seen['observation']}" == world.observation


def _refused(status: int, code: str, says: str, *, wait: bool = False) -> Callable[[Seen, World], bool]:
    """The issue's code and words reach the developer; status and Retry-After too where the client passes them on."""

    def check(seen: Seen, _world: World) -> bool:
        waits = "retryAfter" not in seen or bool(seen["retryAfter"]) == wait
        return seen.get("status", status) == status and seen["code"] == code and says in seen["told"] and waits

    return check


def signals(seen: Seen, world: World) -> dict[str, bool]:
    """Which of the three signals told this client that the practice is missing, by what the developer has in hand."""
    lines = {
        "header": str(seen.get("header") or "").split(", "),
        "tag": seen.get("tags", []),
    }
    told = {name: any(_is_gap(line, world.silent) for line in found) for name, found in lines.items()}
    told["outcome"] = any(world.silent_name in text and "missing" in text for text in seen.get("outcomes", []))
    told["outcome in lists"] = any(world.silent_name in text and "missing" in text for text in seen.get("inLists", []))
    return told


def _is_gap(line: str, ods: str) -> bool:
    said, _, missing = line.partition(";missing=")
    return said.startswith(f"{ods}=") and said != f"{ods}=answered" and "allergies" in missing.split("+")


def _partial(seen: Seen, world: World) -> bool:
    """What the others hold is there, and so is the news of what is not."""
    return sorted(seen["ids"]) == sorted(world.allergies) and any(signals(seen, world).values())


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table. `phase` is what has been done to the world when it is asked."""

    id: str
    title: str
    holds: Callable[[Seen, World], bool]
    phase: str = "well"


CASES: Final = (
    Case("discovery", "Discovery: CapabilityStatement, and where to sign in", _discovered),
    Case("sign-in", "Sign-in: authorisation code with PKCE", lambda seen, world: seen["id"] == world.patient),
    Case("search", "Search", _encounters),
    Case("context", "Search of the patient in context", _encounters),
    Case("post-search", "Search by POST `_search`", _encounters),
    Case("read", "Read by NHS number and by id", _read),
    Case("paging", "Paging by next links", _paged),
    Case("everything", "`$everything`", _everything),
    Case("batch", "Batch of reads", _batched),
    Case("compartment", "Compartment search", _encounters),
    Case("totals", "Totals", lambda seen, world: seen["total"] == len(world.observations)),
    Case("forbidden", "403: no permission", _refused(403, "suppressed", "POST /permissions")),
    Case("not-found", "404", _refused(404, "not-found", "There is no such Observation")),
    Case("too-many", "429: too many requests", _refused(429, "throttled", "Try again in", wait=True)),
    Case("partial", "A source is missing: seen", _partial, "partial"),
    Case("unavailable", "503: no source answers", _refused(503, "transient", "Try again", wait=True), "unavailable"),
)
PHASES: Final = ("well", "partial", "unavailable")

_NO_SIGN_IN: Final = "it has no sign-in of its own: the application brings a token"
_NO_CONTEXT: Final = "it knows no patient in context"
CLIENTS: Final = (
    Client("fhirclient", "npm", "2.6.3", "fhirclient.mjs", {}),
    Client(
        "fhir-kit-client",
        "npm",
        "2.0.3",
        "fhir_kit_client.mjs",
        {"sign-in": _NO_SIGN_IN, "context": _NO_CONTEXT},
    ),
    Client(
        "@medplum/core",
        "npm",
        "4.5.2",
        "medplum_core.mjs",
        {
            "sign-in": "it signs in at Medplum's own server; elsewhere the application brings a token",
            "context": _NO_CONTEXT,
        },
    ),
    Client("fhirclient", "PyPI", "4.4.0", "smart_python.py", {"context": _NO_CONTEXT}),
    Client(
        "fhirpy",
        "PyPI",
        "2.3.1",
        "fhirpy_sync.py",
        {
            "sign-in": _NO_SIGN_IN,
            "context": _NO_CONTEXT,
            "post-search": "it sends every body as JSON, a search's form too",
        },
    ),
)
