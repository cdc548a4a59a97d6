"""Somebody at the pages, without a browser: finds a patient, answers the question, reads the record."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from tests.flow.stack import Stack

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_TAG = re.compile(r"<[^>]+>")


@dataclass
class Visitor:
    """`here` is the signed-in browser; `page` the record's address, once a patient was found."""

    here: httpx2.AsyncClient
    csrf: str
    page: str = ""

    async def get(self, path: str) -> httpx2.Response:
        return await self.here.get(path)

    async def post(self, path: str, **fields: str) -> httpx2.Response:
        return await self.here.post(path, data={"csrf": self.csrf, **fields})

    async def find(self, nhs_number: str, born: str) -> httpx2.Response:
        """Type a number and a birth date."""
        answer = await self.post("/patients", **number_and_date(nhs_number, born))
        if answer.status_code == 303:
            self.page = str(answer.headers["location"])
        return answer

    async def says(self, answer: str, **more: str) -> httpx2.Response:
        """What the patient said."""
        return await self.post(f"{self.page}/permission", answer=answer, **more)

    async def view(self) -> httpx2.Response:
        return await self.here.get(self.page)


def number_and_date(nhs_number: str, born: str) -> dict[str, str]:
    """The fields of the form."""
    return {"nhs-number": nhs_number, **date_of(born)}


def date_of(born: str) -> dict[str, str]:
    """A birth date in its three fields."""
    year, month, day = born.split("-")
    return {"birthdate[day]": day, "birthdate[month]": month, "birthdate[year]": year}


@asynccontextmanager
async def visiting(stack: Stack, who: str = "gp") -> AsyncIterator[Visitor]:
    """That person, signed in, who may find patients."""
    async with stack.signed_in(who) as here:
        found = _CSRF.search((await here.get("/")).text)
        assert found is not None
        yield Visitor(here, found[1])


@asynccontextmanager
async def opened(stack: Stack, nhs_number: str, born: str, who: str = "gp") -> AsyncIterator[Visitor]:
    """The same, at a record that the patient lets them see."""
    async with visiting(stack, who) as visitor:
        await visitor.find(nhs_number, born)
        assert (await visitor.says("yes")).status_code == 303
        yield visitor


def text_of(page: str) -> str:
    """What a reader reads, in one line."""
    body = page[page.index("<main") :] if "<main" in page else page
    return " ".join(html.unescape(_TAG.sub(" ", body)).split())
