"""The cookies of a launch and of its session. Neither holds anything but a name, or what only this gateway can open.

`__Host-` binds a cookie to this very host, with `Secure` and without a domain (RFC 6265bis), so no neighbour under the
same domain can plant a session. `SameSite=Lax`: a launch arrives from the EHR's own site, as a top-level navigation;
every form besides carries a CSRF token. The demo on http://127.0.0.1 can't have `Secure`, which the prefix demands, so
there the cookies have another name, under which no https gateway looks for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.launch.pending import LASTS

_SESSION: Final = "connect-care-session"
_LAUNCH: Final = "connect-care-launch"
_SIGN_IN: Final = "connect-care-sign-in"
_LEFT: Final = "connect-care-left"
_LEFT_LASTS: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Cookies:
    """`secure` is whether clients reach the gateway over https."""

    secure: bool

    def session(self, request: Request) -> str:
        """What the browser holds as its session's name; "" where it holds none."""
        return request.cookies.get(self._named(_SESSION), "")

    def launch(self, request: Request) -> str:
        """The launch that the browser began."""
        return request.cookies.get(self._named(_LAUNCH), "")

    def sign_in(self, request: Request) -> str:
        """The sign-in that the browser began."""
        return request.cookies.get(self._named(_SIGN_IN), "")

    def left(self, request: Request) -> bool:
        """Whether somebody signed out in this browser, and nobody signed in since."""
        return bool(request.cookies.get(self._named(_LEFT)))

    def leave(self, response: Response) -> None:
        """Remember that somebody signed out: it names nobody."""
        self._set(response, _LEFT, "1", _LEFT_LASTS)

    def forget_leaving(self, response: Response) -> None:
        """Somebody signed in."""
        self._set(response, _LEFT, "", timedelta(0))

    def begin_session(self, response: Response, name: str) -> None:
        """A session's cookie goes with the browser; when it ends is decided here, not there."""
        self._set(response, _SESSION, name, None)

    def begin_launch(self, response: Response, sealed: str) -> None:
        """A launch's cookie lasts as long as the launch may take."""
        self._set(response, _LAUNCH, sealed, LASTS)

    def begin_sign_in(self, response: Response, sealed: str) -> None:
        """As long as it may take."""
        self._set(response, _SIGN_IN, sealed, LASTS)

    def end_session(self, response: Response) -> None:
        """Forget it."""
        self._set(response, _SESSION, "", timedelta(0))

    def end_launch(self, response: Response) -> None:
        """Forget it."""
        self._set(response, _LAUNCH, "", timedelta(0))

    def end_sign_in(self, response: Response) -> None:
        """Forget it."""
        self._set(response, _SIGN_IN, "", timedelta(0))

    def _named(self, name: str) -> str:
        return f"__Host-{name}" if self.secure else name

    def _set(self, response: Response, name: str, value: str, lasts: timedelta | None) -> None:
        response.set_cookie(
            self._named(name),
            value,
            max_age=None if lasts is None else int(lasts.total_seconds()),
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )
