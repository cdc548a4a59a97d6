"""The viewer's main states: from the form to the record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from connectors.kit.faults import Mode
from tests.flow.stack import GRACE, RAJESH, TOMASZ
from tests.screens.conftest import Screen, World
from tests.screens.shots import Shot
from tests.screens.viewer import find, to_whole

WORLD: Final[dict[str, Any]] = {"canaries": False}
_WARD, _PHONE = 1024, 320
_MOST_WAITED: Final = 1200
"""Milliseconds: what hangs is pictured while it hangs."""
Reach = Callable[[World, Screen], Awaitable[None]]


async def _signed_in(world: World, screen: Screen, who: str) -> None:
    await screen.page.context.add_cookies(await world.cookies(who))


async def _form(world: World, screen: Screen) -> None:
    await _signed_in(world, screen, "hospital-doctor")
    await screen.goto("/patients")


async def _question(world: World, screen: Screen) -> None:
    await _signed_in(world, screen, "hospital-doctor")
    await find(screen, TOMASZ)


async def _interruption(world: World, screen: Screen) -> None:
    await _question(world, screen)
    await screen.page.get_by_label("The patient can’t answer").check()
    await screen.press("Continue")


def _record(nhs_number: str, section: str = "", *, down: str = "", by: str = "") -> Reach:
    """The record, at one of its sections, or by problem or contact; with one source broken."""

    async def reach(world: World, screen: Screen) -> None:
        await _signed_in(world, screen, "gp")
        await world.stack.agree(nhs_number)
        if down:
            world.stack.make(down, Mode.BROKEN.value)
        await find(screen, nhs_number)
        if down:
            world.stack.make(down, Mode.WELL.value)
        if by:
            await to_whole(screen)
            await screen.page.get_by_label(by, exact=True).check()
        if section:
            await screen.page.evaluate("(id) => document.getElementById(id).scrollIntoView()", f"all-{section}")

    return reach


async def _under_way(world: World, screen: Screen) -> None:
    await _signed_in(world, screen, "gp")
    await world.stack.agree(GRACE)
    world.stack.make("RPG", Mode.HUNG.value)
    await find(screen, GRACE, waits=False)
    await screen.page.locator(".cc-part .cc-row").first.wait_for()
    await screen.page.wait_for_timeout(_MOST_WAITED)
    world.stack.make("RPG", Mode.WELL.value)


STATES: Final = [
    Shot("viewer-find", _form, _WARD, whole=False),
    Shot("viewer-ask", _question, _WARD, whole=False),
    Shot("viewer-best-interests", _interruption, _WARD, whole=False),
    Shot("viewer-record", _record(GRACE), _WARD, whole=False),
    Shot("viewer-medicines", _record(GRACE, "medicines"), _WARD, whole=False),
    Shot("viewer-by-problem", _record(GRACE, by="Problem"), _WARD, whole=False),
    Shot("viewer-by-contact", _record(GRACE, by="Contact"), _WARD, whole=False),
    Shot("viewer-results", _record(GRACE, "results"), _WARD, whole=False),
    Shot("viewer-incomplete", _record(GRACE, down="RJ2"), _WARD, whole=False),
    Shot("viewer-differs", _record(RAJESH), _WARD, whole=False),
    Shot("viewer-under-way", _under_way, _WARD, whole=False),
    Shot("viewer-320", _record(GRACE, "medicines"), _PHONE, whole=False),
]
