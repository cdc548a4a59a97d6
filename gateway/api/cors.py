"""Browsers of other origins (SMART apps): let in where the settings name them, and nowhere else.

Tokens travel in headers, never in cookies, so a browser is never told to send credentials of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway.api.http import FHIR_JSON
from gateway.api.outcome import operation_outcome
from gateway.errors import Refusal

_METHODS: Final = ("GET", "HEAD", "POST")
_TAKES: Final = (
    *("Accept", "Authorization", "Content-Type", "DPoP", "Prefer", "X-Correlation-ID", "X-Request-ID"),
    "X-Medplum",
)
_SHOWS: Final = (
    *("Connect-Care-Sources", "DPoP-Nonce", "Preference-Applied", "Retry-After", "WWW-Authenticate"),
    *("X-Correlation-ID", "X-Request-ID"),
)
_REMEMBERED_SECONDS: Final = 600


class Cors(CORSMiddleware):
    """Starlette's, with exact origins, no credentials, and a refusal that is an OperationOutcome as every other."""

    def __init__(self, app: ASGIApp, *, origins: Iterable[str]) -> None:
        super().__init__(
            app,
            allow_origins=tuple(origins),
            allow_methods=_METHODS,
            allow_headers=_TAKES,
            expose_headers=_SHOWS,
            max_age=_REMEMBERED_SECONDS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """What a browser asks before a request: may this origin send this method with these headers?"""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        refusal = Refusal(
            "This origin, method or header isn't let in from browsers. Whoever runs Connect Care names the origins of "
            "applications in cors_origins.",
            rule="cors.refused",
        )
        body = operation_outcome(refusal, "")
        return Response(body, status_code=refusal.status, headers={"Vary": "Origin"}, media_type=FHIR_JSON)
