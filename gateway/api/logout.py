"""`POST /back-channel-logout`: where an issuer says that somebody has signed out.

Source: OpenID Connect Back-Channel Logout 1.0, sections 2.5 and 2.8. Anybody can reach this door: the logout token,
which only the issuer can sign, is all that it believes.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from gateway.api.door import parts_of
from gateway.api.http import FORM, read_body
from gateway.caller.logout import LogoutRefused
from gateway.caller.refusals import SignInUnavailable
from gateway.errors import AuditUnavailable, GatewayError

router = APIRouter(include_in_schema=False)
PATH: Final = "/back-channel-logout"
_MOST_BYTES: Final = 16 * 1024


@router.post(PATH)
async def end_sign_in(request: Request) -> Response:
    """200 once every worker refuses what was ended; 400 (section 2.8) for everything else. Where it is our fault it
    says so, and the issuer may try again."""
    try:
        await parts_of(request).logouts.end(await _logout_token(request))
    except LogoutRefused as refused:
        return _refusal("invalid_request", refused.told)
    except (SignInUnavailable, AuditUnavailable):
        return _refusal("temporarily_unavailable", "Nobody was signed out. Send the logout token again shortly.")
    except GatewayError as error:
        return _refusal("invalid_request", error.told)
    return Response(status_code=200, headers={"Cache-Control": "no-store"})


async def _logout_token(request: Request) -> str:
    body = await read_body(request, _MOST_BYTES, frozenset({FORM}))
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=8)
    except ValueError as error:
        raise LogoutRefused("The body is not a form.") from error
    tokens = [value for name, value in pairs if name == "logout_token"]
    if len(tokens) != 1:
        raise LogoutRefused("Send one logout_token in the form.")
    return tokens[0]


def _refusal(error: str, told: str) -> Response:
    content = {"error": error, "error_description": told}
    return JSONResponse(content, status_code=400, headers={"Cache-Control": "no-store"})
