"""What an earlier generation still does is ended before its connections are."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.generations import Generations


class Shadow:
    """A comparison that goes on until it is cancelled, and asks a source as long as it does."""

    def __init__(self, told: list[str]) -> None:
        self._told = told
        self._task = asyncio.create_task(self._compare())

    async def _compare(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self._told.append("compared no more")

    async def settled(self) -> None:
        await asyncio.wait({self._task})

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def parts(told: list[str]) -> Any:
    async def aclose() -> None:
        told.append("closed")

    fan_out = SimpleNamespace(states={}, sources=SimpleNamespace(aclose=aclose))
    return SimpleNamespace(shadow=Shadow(told), fan_out=fan_out, policy=SimpleNamespace(hash="0"))


@pytest.mark.parametrize("is_held", [True, False])
async def test_a_gateway_that_ends_lets_no_earlier_comparison_go_on(is_held: bool) -> None:
    earlier: list[str] = []
    generations = Generations(parts(earlier))
    with generations.hold() if is_held else nullcontext():
        generations.replace(parts([]))
        await asyncio.sleep(0)
        assert earlier == []
        await generations.aclose()
    assert earlier == ["compared no more", "closed"]
    await generations.newest.shadow.aclose()
