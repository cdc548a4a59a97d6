"""Whichever reader a gateway runs, it gives out the same record, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from connectors.sdk import kernel
from tests.flow.stack import ELSIE, GRACE, Stack, running
from tests.unit.readers import needs_kernel


class _Entry(msgspec.Struct):
    resource: msgspec.Raw
    search: dict[str, str]


class _Bundle(msgspec.Struct):
    total: int
    entry: list[_Entry]


@pytest.fixture(autouse=True)
def _the_usual_reader_afterwards() -> Iterator[None]:
    yield
    kernel.choose("auto")


async def shown(stack: Stack, nhs_number: str) -> list[bytes]:
    """The bytes of each resource of a record, but of the outcome, which names its own answer."""
    await stack.agree(nhs_number)
    answer = await stack.everything(nhs_number)
    assert answer.status_code == 200, answer.text
    bundle = msgspec.json.decode(answer.content, type=_Bundle)
    return [bytes(entry.resource) for entry in bundle.entry if entry.search["mode"] != "outcome"]


@needs_kernel
async def test_both_readers_give_out_the_same_bytes(tmp_path: Path) -> None:
    records: dict[str, list[list[bytes]]] = {}
    for reader in ("python", "native"):
        async with running(tmp_path, kernel=reader) as stack:
            assert kernel.running() == reader
            records[reader] = [await shown(stack, patient) for patient in (GRACE, ELSIE)]
    assert records["native"] == records["python"]
    assert all(len(record) > 20 for record in records["native"])
