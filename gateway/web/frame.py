"""The frame of every page, and the headers that go with it.

Pages are Jinja templates over the NHS frontend's macros. Whatever is put into one is escaped where it is put: the
environment escapes everything that isn't markup already, and no text turns the direction of another. `undefined` is
lenient, as those macros need it to be.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jinja2 import ChainableUndefined, ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from gateway.web import assets
from gateway.web.bidi import isolated
from gateway.web.moments import clock_time, moment
from gateway.web.words import day, grouped

HTML: Final = "text/html; charset=utf-8"
_HEADERS: Final[Mapping[str, str]] = {
    "X-Frame-Options": "DENY",
    # Not no-referrer: with that a browser sends `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NONCE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Place:
    """One of the places that a signed-in person can go to."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Ends:
    """When a page is over that nobody uses: in `seconds`, at `at`. `asks`: where it asks whether it may still be seen
    (`gateway.api.standing`); `session`: where "Stay signed in" is sent, and where it goes without scripts. `again`:
    where to sign in, "" where their own system leads back alone. `record`: the address of the record that it shows."""

    seconds: int
    at: datetime
    asks: str
    session: str
    again: str = ""
    record: str = ""


@dataclass(frozen=True, slots=True)
class Around:
    """What surrounds a page: who is signed in (a sentence), where they can go (and which of it is `here`), and where
    the form that signs out is sent, with `csrf`; "" where nobody is signed in. `home` is where the name leads. `ends`:
    when the page is over; None for one that shows nothing of anybody."""

    signed_in: str = ""
    places: tuple[Place, ...] = ()
    here: str = ""
    leave: str = ""
    csrf: str = ""
    home: str = "/"
    ends: Ends | None = None


NOBODY: Final = Around()


class Page:
    """One page under way: it has a nonce of its own, which its headers name."""

    def __init__(self, around: Around = NOBODY) -> None:
        self._around = around
        self._nonce = secrets.token_urlsafe(_NONCE_BYTES)

    @property
    def headers(self) -> dict[str, str]:
        """No script but ours, named by the nonce; nothing inline, nothing evaluated, nothing from elsewhere; in no
        frame; forms go nowhere else."""
        policy = (
            f"default-src 'none'; script-src 'nonce-{self._nonce}'; style-src 'self'; img-src 'self'; "
            "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
        return {"Content-Security-Policy": policy, **_HEADERS}

    def render(self, template: str, **shown: Any) -> bytes:
        """The whole page."""
        return _ENVIRONMENT.get_template(template).render(around=self._around, nonce=self._nonce, **shown).encode()


def part(template: str, **shown: Any) -> Markup:
    """A piece of a page, from a template of its own."""
    return Markup(_ENVIRONMENT.get_template(template).render(**shown))  # noqa: S704 (the template escaped it)


def _environment() -> Environment:
    made = Environment(
        loader=ChoiceLoader([PackageLoader("gateway.web"), PackageLoader("nhsuk_frontend_jinja")]),
        autoescape=True,
        undefined=ChainableUndefined,
        finalize=isolated,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["asset"] = assets.address
    made.filters |= {"day": day, "grouped": grouped, "moment": moment, "clock_time": clock_time}
    return made


_ENVIRONMENT: Final = _environment()
