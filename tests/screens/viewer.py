"""The journey to a record, in a real browser: what tests walk and what the pictures are taken of."""

from __future__ import annotations

from playwright.async_api import expect

from tests.flow.stack import AALIYAH, DANIEL, ELSIE, GRACE, HAROLD, RAJESH, TOMASZ
from tests.screens.conftest import Screen

BORN = {
    GRACE: ("12", "3", "1958"), TOMASZ: ("2", "11", "1987"), HAROLD: ("8", "5", "1931"), RAJESH: ("24", "12", "1971"),
    ELSIE: ("14", "2", "1937"), AALIYAH: ("21", "6", "2001"), DANIEL: ("17", "1", "1984"),
}  # fmt: skip


async def find(screen: Screen, nhs_number: str, *, waits: bool = True) -> None:
    """Type who it is, and go on: to the question, or to the record where the patient said yes before."""
    await screen.goto("/patients")
    await screen.page.get_by_label("NHS number").fill(nhs_number)
    for label, part in zip(("Day", "Month", "Year"), BORN[nhs_number], strict=True):
        await screen.page.get_by_label(label, exact=True).fill(part)
    await screen.page.get_by_role("button", name="Continue").click(no_wait_after=True)
    if waits:
        await screen.page.wait_for_url("**/patients/*", wait_until="load")


async def agree(screen: Screen) -> None:
    """The patient says yes."""
    await screen.page.get_by_label("Yes, the patient agrees").check()
    await screen.press("Continue")


async def to_whole(screen: Screen) -> None:
    """The whole record: where its sources took their time, it's there once somebody asks for it."""
    await screen.page.locator(".cc-whole").wait_for(state="attached")
    if await screen.page.locator(".cc-whole--late").count():
        await screen.page.locator(".cc-banner").last.get_by_text("Show the whole record").click()
    await expect(screen.page.locator(".cc-whole")).to_be_visible()
