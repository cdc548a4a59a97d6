"""The privacy officer's pages, and that of the sources, in their main states."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from tests.flow.stack import AALIYAH, GRACE, HAROLD, TOMASZ
from tests.screens.conftest import Screen, World
from tests.screens.shots import Shot

Reach = Callable[[World, Screen], Awaitable[None]]
OFFICER: Final = "privacy-officer"
_LOOKED: Final = {
    "nhsNumber": TOMASZ, "basis": "best-interests", "reasonCode": "emergency",
    "reason": "Unconscious in resus, no relatives to ask",
}  # fmt: skip


def signed_in(who: str, reach: Reach) -> Reach:
    """The same in a window in which somebody is signed in."""

    async def reached(world: World, screen: Screen) -> None:
        await screen.page.context.add_cookies(await world.cookies(who))
        await reach(world, screen)

    return reached


async def a_best_interests_look(world: World) -> None:
    """What a case is about."""
    assert (await world.stack.post("/permissions", _LOOKED, "hospital-doctor")).status_code == 201
    assert (await world.stack.everything(TOMASZ, "hospital-doctor")).status_code == 200


async def to_person(screen: Screen, nhs_number: str) -> None:
    """By the form that says whom a call is about."""
    await screen.goto("/office/calls")
    for field, text in (
        ("nhsNumber", nhs_number),
        ("birthDate", "12"),
        ("birthdate-month", "3"),
        ("birthdate-year", "1961"),
    ):
        await screen.page.fill(f"#{field}", text)
    await screen.press("Continue")


async def call(world: World, screen: Screen) -> None:
    await screen.goto("/office/calls")


async def slip(world: World, screen: Screen) -> None:
    await screen.goto("/office/calls")
    await screen.press("Continue")


async def choice(world: World, screen: Screen) -> None:
    await world.stack.choose(HAROLD, "opted-out")
    await to_person(screen, HAROLD)


async def recorded(world: World, screen: Screen) -> None:
    await to_person(screen, AALIYAH)
    for label in ("Opt out", "The patient", "By phone", "We called back"):
        await screen.page.get_by_label(label, exact=True).check()
    await screen.press("Record their choice")


async def cases(world: World, screen: Screen) -> None:
    await a_best_interests_look(world)
    await screen.goto("/office/cases")


async def case(world: World, screen: Screen) -> None:
    await cases(world, screen)
    await screen.follow(screen.page.get_by_role("link", name="best interests").first)


async def questioned(world: World, screen: Screen) -> None:
    await case(world, screen)
    if not await screen.page.get_by_label("Questioned", exact=True).count():
        return  # it was before
    await screen.page.get_by_label("Questioned", exact=True).check()
    await screen.page.get_by_label("Note", exact=True).fill("Asked Dr Thornbury by phone. He will write by noon.")
    await screen.press("Write to the case")


async def explained(world: World, screen: Screen) -> None:
    await case(world, screen)
    await screen.follow(screen.page.get_by_role("link", name=re.compile("Explain")).last)


async def audit(world: World, screen: Screen) -> None:
    await screen.goto("/office/audit")


async def found(world: World, screen: Screen) -> None:
    await world.stack.agree(GRACE, "gp")
    await world.stack.everything(GRACE, "gp")
    await world.stack.everything(GRACE, "social-worker")
    await screen.goto("/office/audit")
    await screen.page.fill("#nhsNumber", GRACE)
    await screen.press("Search")


async def report(world: World, screen: Screen) -> None:
    await screen.goto("/office/reports")


async def policy(world: World, screen: Screen) -> None:
    await screen.goto("/office/policy")


async def changes(world: World, screen: Screen) -> None:
    await screen.goto("/office/policy/changes")
    await screen.press("Compare")


async def refused(world: World, screen: Screen) -> None:
    await screen.goto("/office/cases")


async def sources(world: World, screen: Screen) -> None:
    await world.stack.agree(GRACE, "gp")
    await world.stack.everything(GRACE, "gp")
    await screen.goto("/status")


async def one_down(world: World, screen: Screen) -> None:
    world.stack.make("RJ2", "broken")
    await world.stack.agree(GRACE, "gp")
    for _ in range(6):
        await world.stack.everything(GRACE, "gp")
    world.stack.make("RJ2", "well")
    await screen.goto("/status")


STATES: Final = [
    Shot("office-call", signed_in(OFFICER, call)),
    Shot("office-call-slip", signed_in(OFFICER, slip)),
    Shot("office-choice", signed_in(OFFICER, choice)),
    Shot("office-choice-recorded", signed_in(OFFICER, recorded)),
    Shot("office-cases", signed_in(OFFICER, cases)),
    Shot("office-case", signed_in(OFFICER, case)),
    Shot("office-case-questioned", signed_in(OFFICER, questioned)),
    Shot("office-explained", signed_in(OFFICER, explained)),
    Shot("office-audit", signed_in(OFFICER, audit)),
    Shot("office-audit-found", signed_in(OFFICER, found)),
    Shot("office-report", signed_in(OFFICER, report)),
    Shot("office-policy-changes", signed_in(OFFICER, changes)),
    Shot("office-refused", signed_in("hospital-doctor", refused)),
    Shot("sources", signed_in(OFFICER, sources)),
    Shot("sources-one-down", signed_in(OFFICER, one_down)),
    Shot("office-choice-320", signed_in(OFFICER, choice), width=320),
    Shot("office-case-320", signed_in(OFFICER, case), width=320),
    Shot("office-audit-found-320", signed_in(OFFICER, found), width=320),
    Shot("sources-320", signed_in(OFFICER, sources), width=320),
]
TOO_LONG: Final = [Shot("office-policy", signed_in(OFFICER, policy))]
"""States that are tested and of which no picture is kept: it would be ten screens long."""
