"""Whatever one organisation's connector does, the record of the others comes whole, and no trick shows in it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connectors.kit.hostile import MARK, SOMEBODY_ELSE, TRICKS, Broken, Hostile
from connectors.sdk.connector import Connector
from connectors.sdk.installed import available
from tests.boundless import HURRIED
from tests.flow.stack import GRACE, Stack, outcome, resources, running
from tests.quick import every

HOSTILE, BROKEN, WELL = "RPG", "709", {"RJ2", "G85005"}


def source_of(resource: dict[str, Any]) -> str:
    """The organisation that an entry names in `meta.tag`."""
    codes = {tag["code"] for tag in resource.get("meta", {}).get("tag", [])}
    return next(iter(codes & (WELL | {HOSTILE, BROKEN})), "")


def clinical(answer: httpx2.Response) -> dict[str, list[str]]:
    """The resources of a record by organisation, each as text, in a settled order."""
    found: dict[str, list[str]] = {}
    for resource in resources(json.loads(answer.content)):
        found.setdefault(source_of(resource), []).append(json.dumps(resource, sort_keys=True))
    return {source: sorted(texts) for source, texts in found.items()}


async def record(stack: Stack) -> httpx2.Response:
    await stack.agree(GRACE)
    async with asyncio.timeout(60):
        return await stack.everything(GRACE)


async def test_the_broken_and_the_hostile_cannot_be_configured() -> None:
    assert "kit" not in available()
    assert not {"hostile", "broken"} & set(available())


@pytest.mark.parametrize("trick", every(3, sorted(TRICKS)))
async def test_the_record_of_the_others_comes_whole(trick: str, tmp_path: Path) -> None:
    instead: dict[str, Connector] = {BROKEN: Broken(), HOSTILE: Broken()}
    async with running(tmp_path, instead=instead, deadline=HURRIED) as stack:
        expected = clinical(await record(stack))
    assert set(expected) == WELL
    instead[HOSTILE] = Hostile(HOSTILE, trick)
    async with running(tmp_path, instead=instead, deadline=HURRIED) as stack:
        answer = await record(stack)
        rows = await stack.rows(GRACE)
    assert answer.status_code == 200
    found = clinical(answer)
    assert {source: found.get(source) for source in expected} == expected
    assert not found.keys() - WELL, "something of the trick was shown"
    shown = answer.text + json.dumps(dict(answer.headers))
    assert MARK not in shown
    assert SOMEBODY_ELSE not in shown + json.dumps(rows)
    # What the operator reads of a fault may quote the connector, and never a number.
    details = re.findall(r'"detail": "([^"]*)"', json.dumps(rows))
    assert details
    assert not any(re.search(r"\d{10}", detail) for detail in details)
    said = outcome(json.loads(answer.content))
    for name in ("Oxleas", "Lewisham"):
        assert any(name in sentence for sentence in said), said
