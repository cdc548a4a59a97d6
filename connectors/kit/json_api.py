"""The sandbox of a system with a JSON API of its own, for connectors on `connectors/sdk/json_api.py`.

    GET people?nhsNumber=…     {"entries": [person, …], "total": 1, "next": null}
    GET people/{id}/{list}     {"entries": [entry, …], "total": 2, "next": null}

It holds `[{"person": {…}, "lists": {"allergies": [{…}, …]}}, …]`. A system that answers in another way gets a class of
its own in the connector's sandbox: it must answer as the real one does, or the kit proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from connectors.kit.asgi import Receive, Scope, Send, reply
from connectors.kit.canaries import canary
from connectors.kit.faults import Mode, mode_of
from connectors.kit.sandbox import Sandbox

BASE: Final = "/fhir"
Held = list[dict[str, Any]]

_decode: Final = msgspec.json.Decoder(Held, float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def sandbox(ods: str, file: Path, *, canaries: bool, number: str = "nhsNumber") -> Sandbox:
    """The sandbox of one organisation over the people of a file. `number` is the element of a person, and the
    parameter, that holds the NHS number. Canaries go into an entry's `note` and a person's `address`."""
    held = _decode(file.read_bytes())
    marks = list(_planted(ods, held)) if canaries else []
    return Sandbox(ods, JsonSystem(held, number), base_path=BASE, canaries=marks)


def _planted(ods: str, held: Held) -> Iterator[str]:
    for one in held:
        yield _plant(ods, one["person"], "address")
        for listed in one["lists"].values():
            for entry in listed:
                yield _plant(ods, entry, "note")


def _plant(ods: str, entry: dict[str, Any], element: str) -> str:
    mark = canary(ods, str(entry["id"]))
    entry[element] = f"{entry.get(element, '')} {mark}".strip()
    return mark


class JsonSystem:
    """ASGI app over what is held; it only reads. In a lying mode everybody's entries come."""

    def __init__(self, held: Held, number: str) -> None:
        self._held = held
        self._number = number

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        steps = scope["path"].removeprefix(BASE).strip("/").split("/")
        query = parse_qs(scope["query_string"].decode("ascii", "replace"))
        failing = mode_of(scope) is Mode.NO_ALLERGIES and steps[-1] == "allergies"
        entries = (
            None if failing else self._find(steps, query, lying=mode_of(scope) in (Mode.LYING, Mode.LYING_QUIETLY))
        )
        if entries is None:
            await reply(send, 500 if failing else 404, b'{"error":"nothing is here"}')
        else:
            await reply(send, 200, _encode({"entries": entries, "total": len(entries), "next": None}))

    def _find(self, steps: list[str], query: dict[str, list[str]], *, lying: bool) -> list[dict[str, Any]] | None:
        """The entries, or None where there is no such address."""
        if steps == ["people"]:
            return [one["person"] for one in self._held if [one["person"][self._number]] == query.get(self._number)]
        if len(steps) != 3 or steps[0] != "people":
            return None
        _, person, name = steps
        known = any(str(one["person"]["id"]) == person and name in one["lists"] for one in self._held)
        whose = [one for one in self._held if lying or str(one["person"]["id"]) == person]
        return [entry for one in whose for entry in one["lists"].get(name, ())] if known else None
