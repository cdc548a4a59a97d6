"""The states of patients' own pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.demo.patients import NOT_PROVEN
from tests.flow.stack import DANIEL, ELSIE, GRACE, RAJESH
from tests.screens.conftest import Screen, World
from tests.screens.shots import Shot

Reach = Callable[[World, Screen], Awaitable[None]]


async def sign_in(world: World, screen: Screen, nhs_number: str) -> None:
    """The window has that patient's session, as if they had signed in by hand."""
    async with world.stack.patient(nhs_number) as session:
        cookies = [{"name": each.name, "value": each.value, "url": world.base} for each in session.cookies.jar]
    await screen.page.context.add_cookies(cookies)


async def looked_at(world: World, nhs_number: str) -> None:
    """A GP asked and looked, a hospital doctor looked in an emergency, and a nurse was stopped."""
    await world.stack.agree(nhs_number)
    await world.stack.everything(nhs_number)
    body = {"nhsNumber": nhs_number, "basis": "best-interests", "reasonCode": "emergency", "reason": "Unconscious"}
    assert (await world.stack.post("/permissions", body, "hospital-doctor")).status_code == 201
    await world.stack.everything(nhs_number, "hospital-doctor")
    await world.stack.everything(nhs_number, "nurse")


def at(path: str, nhs_number: str, *, seen: bool = False, out: bool = False) -> Reach:
    """A page of that patient: at whom somebody looked, or who has opted out."""

    async def reach(world: World, screen: Screen) -> None:
        if seen:
            await looked_at(world, nhs_number)
        if out:
            await world.stack.choose(nhs_number, "opted-out")
        await sign_in(world, screen, nhs_number)
        await screen.goto(path)

    return reach


async def at_sign_in(_: World, screen: Screen) -> None:
    await screen.goto("/my/sign-in")


async def not_proven(world: World, screen: Screen) -> None:
    """The answer of the provider for somebody at P5, in the browser that asked for it."""
    async with world.stack.browser() as here:
        answer = await world.stack.chosen(here, NOT_PROVEN, "/my/sign-in/demo-patients")
        cookies = [{"name": each.name, "value": each.value, "url": world.base} for each in here.cookies.jar]
    await screen.page.context.add_cookies(cookies)
    await screen.page.goto(answer)


STATES = [
    Shot("my-sign-in", at_sign_in),
    Shot("my-sign-in-320", at_sign_in, width=320),
    Shot("my-sign-in-not-proven", not_proven, width=768),
    Shot("my-start", at("/my", DANIEL)),
    Shot("my-choice", at("/my/choice", DANIEL)),
    Shot("my-choice-ask", at("/my/choice/opt-out", DANIEL)),
    Shot("my-choice-out-320", at("/my/choice", RAJESH, out=True), width=320),
    Shot("my-looks", at("/my/looks", GRACE, seen=True)),
    Shot("my-looks-320", at("/my/looks", GRACE), width=320),
    Shot("my-looks-nobody", at("/my/looks", ELSIE), width=768),
    Shot("my-letter-printed", at("/my/looks/letter", GRACE), width=768, print_view=True),
    Shot("my-permissions", at("/my/permissions", GRACE), width=768),
    Shot("my-signed-out", lambda _, screen: screen.goto("/my/choice"), width=768),
]
