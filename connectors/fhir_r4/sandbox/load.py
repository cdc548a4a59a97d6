"""Puts an organisation's invented patients into a real FHIR server.

    python -m connectors.fhir_r4.sandbox.load RJ2 http://hapi:8080/fhir

One transaction of PUTs, so that every resource keeps its id and all are there or none; again is harmless. A server that
isn't up yet is waited for.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from connectors.fhir_r4.sandbox import holdings
from connectors.fhir_r4.sandbox.holdings import Stored
from connectors.sdk.errors import SourceError, SourceTimeout, Unreachable, Unwell
from connectors.sdk.http import AiohttpTransport, Limits, SourceClient

_FHIR_JSON: Final = {"Content-Type": "application/fhir+json"}
_EACH_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 1.0
_NOT_UP_YET: Final = (Unreachable, Unwell, SourceTimeout)


class _Transaction(msgspec.Struct, tag_field="resourceType", tag="Bundle"):
    """A transaction Bundle (R4, "transaction"); each entry is JSON text as the sandbox would send it."""

    entry: list[msgspec.Raw]
    type: str = "transaction"


class _Status(msgspec.Struct):
    status: str


class _Entry(msgspec.Struct):
    response: _Status


class _Response(msgspec.Struct):
    entry: list[_Entry]


def transaction(ods: str) -> bytes:
    """Everything that the organisation's sandbox holds, digit for digit. Raises LookupError where that's nothing."""
    entries = [msgspec.Raw(_put(stored)) for stored in holdings(ods).by_key.values()]
    return msgspec.json.encode(_Transaction(entries))


def _put(stored: Stored) -> bytes:
    key = msgspec.json.encode(stored.key)
    return b'{"resource":' + stored.body + b',"request":{"method":"PUT","url":' + key + b"}}"


async def load(ods: str, address: str, *, patience: float = 180.0) -> int:
    """Load one organisation; how many resources. Raises SourceError where the server doesn't take them within
    `patience` seconds, LookupError where there is nothing to load."""
    body = transaction(ods)
    limits = Limits(connections=1)
    client = SourceClient(address, AiohttpTransport(limits, None), limits=limits)
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    try:
        while True:
            try:
                told = await client.post(
                    client.base_url, body, deadline=min(until, loop.time() + _EACH_SECONDS), headers=_FHIR_JSON
                )
                return _taken(told)
            except _NOT_UP_YET:
                if loop.time() + _PAUSE_SECONDS >= until:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
    finally:
        await client.aclose()


def _taken(told: bytes) -> int:
    """How many entries the server says that it took. A transaction is taken whole, or refused by its status."""
    return sum(one.response.status.startswith("2") for one in msgspec.json.decode(told, type=_Response).entry)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 once everything is there, 1 where the server doesn't take it."""
    parser = argparse.ArgumentParser(
        prog="python -m connectors.fhir_r4.sandbox.load", description="Load invented patients into a FHIR server."
    )
    parser.add_argument("ods", help="whose patients: the ODS code of a sandbox of fhir_r4")
    parser.add_argument("address", help="the service base URL of the server, http://hapi:8080/fhir say")
    parser.add_argument("--patience", type=float, default=180.0, help="seconds to wait for the server (180)")
    asked = parser.parse_args(arguments)
    try:
        count = asyncio.run(load(asked.ods, asked.address, patience=asked.patience))
    except SourceError as error:
        print(f"{asked.address} did not take the patients of {asked.ods}: {type(error).__name__}", file=sys.stderr)  # noqa: T201
    except (LookupError, ValueError) as error:
        print(error.args[0], file=sys.stderr)  # noqa: T201
    else:
        print(f"{count} resources of {asked.ods} are at {asked.address}")  # noqa: T201
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
