"""What the gateway answers when it does not answer with a record, by what the caller should do next.

    GatewayError                 status  issue code
    ├── BadRequest                  400  invalid        mend the request
    │   ├── NotSupported            400  not-supported  parameter, modifier, chain or search that isn't offered
    │   └── TooLarge                413  too-long       send less
    ├── WrongMediaType              415  not-supported  send FHIR JSON / JSON
    ├── NotAcceptable               406  not-supported  ask for FHIR JSON
    ├── NotSignedIn                 401  login          get a (new) access token
    ├── Refusal                     403  forbidden      policy, choice or permission says no
    │   ├── NoPermission            403  suppressed     ask the patient, then POST /permissions
    │   └── OptedOut                403  suppressed     the patient opted out of Connect Care
    ├── NotFound                    404  not-found      no such route, resource or patient
    ├── NotAllowed                  405  not-supported  another method
    ├── NumberReplaced              409  conflict       ask again with the patient's current NHS number
    ├── Conflict                    409  conflict       somebody was first: read it again, and decide anew
    ├── Gone                        410  conflict       begin again with the first page
    ├── TooMany                     429  throttled      try again after `retry_after` seconds
    ├── SignInUnavailable           503  transient      the issuer's keys can't be had (gateway.caller.refusals)
    ├── NotProven                   503  transient      try again in a minute (gateway.audit.report.make)
    ├── CutShort                    499  incomplete     nobody is there to do anything: they went away
    ├── NobodyAnswered              503  transient      try again after `retry_after` seconds
    ├── Busy                        503  transient      try again after a few seconds
    ├── Leaving                     503  transient      ask another process of the gateway's
    └── AuditUnavailable            503  exception      the journal can't be written: no data leaves

Each carries two texts: `told` (for the caller: says what to do, holds no identifier; NumberReplaced alone names the
patient's own current number) and `detail` (for the operator's log and the audit row). `rule` is the id of the policy
rule, or the stable name of the check, that decided.
"""

from __future__ import annotations

from typing import ClassVar, Final


class GatewayError(Exception):
    """An answer that is not a record."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "exception"

    def __init__(self, told: str, *, rule: str, detail: str = "", expression: str = "") -> None:
        super().__init__(detail or told)
        self.told = told
        self.rule = rule
        self.detail = detail
        self.expression = expression
        self.headers: dict[str, str] = {}
        # The journal's row that holds this refusal, once it's written: nothing is journalled twice on its way out.
        self.journalled: int | None = None
        # It is in the metrics: nothing is counted twice either.
        self.counted = False


class BadRequest(GatewayError):
    """The request is wrong in itself; no source was asked."""

    status = 400
    code = "invalid"


class NotSupported(BadRequest):
    """A parameter, modifier, chain or search that this server doesn't offer."""

    code = "not-supported"


class TooLarge(BadRequest):
    """The request body is over the limit."""

    status = 413
    code = "too-long"


class WrongMediaType(GatewayError):
    """The request body isn't of a type that this route reads."""

    status = 415
    code = "not-supported"


class NotAcceptable(GatewayError):
    """The caller wants a representation other than JSON."""

    status = 406
    code = "not-supported"


class NotSignedIn(GatewayError):
    """No access token, or one that can't be accepted. The text never says more than the caller already knows."""

    status = 401
    code = "login"

    def __init__(
        self, told: str, *, rule: str, detail: str = "", error: str = "invalid_token", scheme: str = "Bearer"
    ) -> None:
        """`error` is the OAuth code, "" where nothing was sent; `scheme` is the one that the request used."""
        super().__init__(told, rule=rule, detail=detail)
        self.error = error
        self.scheme = scheme
        self.headers["WWW-Authenticate"] = f'{scheme} error="{error}"' if error else scheme


class Refusal(GatewayError):
    """Policy, sharing choice or permission says no."""

    status = 403
    code = "forbidden"


class NoPermission(Refusal):
    """No current permission for this caller and patient; the text says how to get one."""

    code = "suppressed"


class OptedOut(Refusal):
    """The patient has opted out: there is no Connect Care record."""

    code = "suppressed"


class NotFound(GatewayError):
    """No such route, resource or patient."""

    status = 404
    code = "not-found"


class NotAllowed(GatewayError):
    """The route exists, the method doesn't."""

    status = 405
    code = "not-supported"


class NumberReplaced(GatewayError):
    """The national register says that another NHS number has taken this one's place: shown, never followed silently.

    `current` is that number, for the caller alone; "" where what the register gave is none.
    """

    status = 409
    code = "conflict"

    def __init__(self, current: str, system: str) -> None:
        self.current = current
        how = (
            f"The current number is {current}. Check it with the patient, ask for permission with it (POST "
            f"/permissions), and ask again: identifier={system}|{current}."
            if current
            else "It did not give the current number in a way that can be used: look it up in the national service."
        )
        super().__init__(
            "The national register has replaced this NHS number by another, so nothing that is held under it is "
            f"shown. {how}",
            rule="register.superseded",
            detail="the register names another number",
        )


class Conflict(GatewayError):
    """What the caller wants to change isn't as they saw it any more, or can't be changed any more."""

    status = 409
    code = "conflict"


class Gone(GatewayError):
    """What a cursor continues isn't there any more: its pages would not add up to one record."""

    status = 410
    code = "conflict"


class TooMany(GatewayError):
    """More was asked than fair use allows. `retry_after` is in whole seconds."""

    status = 429
    code = "throttled"

    def __init__(self, told: str, *, rule: str, detail: str = "", retry_after: int) -> None:
        super().__init__(told, rule=rule, detail=detail)
        self.headers["Retry-After"] = str(retry_after)


class CutShort(GatewayError):
    """Whoever asked went away before all had come. It is for the journal: nobody is there to read it."""

    status = 499
    code = "incomplete"


CUT_SHORT: Final = "live.cut-short"


def cut_short() -> CutShort:
    """The rest of a live look, which nobody waits for."""
    return CutShort("The rest was not sent, since the connection was closed.", rule=CUT_SHORT)


class NobodyAnswered(GatewayError):
    """No source could answer, so nothing may be shown, not even as empty."""

    status = 503
    code = "transient"

    def __init__(self, told: str, *, rule: str, detail: str = "", retry_after: int = 10) -> None:
        super().__init__(told, rule=rule, detail=detail)
        self.headers["Retry-After"] = str(retry_after)


class Busy(GatewayError):
    """More looks are waiting than can be begun in time."""

    status = 503
    code = "transient"

    def __init__(self) -> None:
        super().__init__(
            "Connect Care has more to do than it can at the moment, and has asked nobody yet. Try again shortly.",
            rule="gateway.busy",
        )
        self.headers["Retry-After"] = "5"


class Leaving(GatewayError):
    """This process is about to end. It answers whoever asks, and should be asked no more."""

    status = 503
    code = "transient"

    def __init__(self) -> None:
        super().__init__("This gateway is being stopped. Ask another one, or the next.", rule="gateway.leaving")
        self.headers["Retry-After"] = "5"


class AuditUnavailable(GatewayError):
    """The journal can't be written: no look without a row, so no data leaves."""

    status = 503
    code = "exception"

    def __init__(self, detail: str) -> None:
        super().__init__(
            "Connect Care can't write its audit journal, so no record can be shown. Try again shortly.",
            rule="no-audit-no-data",
            detail=detail,
        )
        self.headers["Retry-After"] = "10"
