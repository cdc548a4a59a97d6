"""What a person is told who can't be let in. The texts name no identifier, and say what to do."""

from __future__ import annotations

from typing import Final

from gateway.errors import BadRequest, GatewayError, NotFound, NotSignedIn, Refusal

_AGAIN: Final = "Open Connect Care again from your own system."


class EhrUnavailable(GatewayError):
    """The system that launched can't be reached, or what it answers can't be used."""

    status = 503
    code = "transient"

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(
            f"The system that you came from didn't answer in a way that can be used, so you are not signed in. {_AGAIN}"
            " If it happens again, tell whoever looks after that system.",
            rule=rule,
            detail=detail,
        )
        self.headers["Retry-After"] = "10"


def unregistered() -> Refusal:
    """Nothing is fetched from an address that anybody could have put there."""
    return Refusal(
        "The system that you came from isn't registered to open Connect Care. Tell whoever looks after that system.",
        rule="launch.unregistered",
    )


def not_offered() -> NotFound:
    """No provider has this tag."""
    return NotFound("There is no such way to sign in. Choose one of those on the page Sign in.", rule="signin.unknown")


def unclear_patient(detail: str) -> NotSignedIn:
    """The provider didn't say in a way that can be used who the patient is."""
    return NotSignedIn(
        "The service that you signed in with did not tell us who you are in a way that we can use. Try again. If it "
        "happens again, ask your GP practice for help.",
        rule="signin.unclear-patient",
        detail=detail,
    )


def malformed(detail: str) -> BadRequest:
    """The launch itself is wrong."""
    return BadRequest(f"This launch can't be understood. {_AGAIN}", rule="launch.malformed", detail=detail)


def not_believed(rule: str, detail: str) -> NotSignedIn:
    """A statement failed the check that `rule` names. Which one it was is for the operator."""
    return NotSignedIn(f"This launch can't be accepted. {_AGAIN}", rule=rule, detail=detail)


def used() -> NotSignedIn:
    """One-time means once."""
    return NotSignedIn(f"This launch was used already. {_AGAIN}", rule="launch.used")


def over() -> NotSignedIn:
    """It was good, and its time is over."""
    return NotSignedIn(f"This launch took too long. {_AGAIN}", rule="launch.expired")


def declined() -> Refusal:
    """The EHR itself said no."""
    return Refusal(f"Your own system didn't let you in. {_AGAIN}", rule="launch.declined")


def no_patient(detail: str) -> BadRequest:
    """A viewer without a patient in context shows nothing."""
    return BadRequest(
        "Your own system didn't say which patient this is about in a way that can be trusted: Connect Care needs a "
        "verified NHS number. Open the patient there, check the NHS number, and open Connect Care again.",
        rule="launch.no-patient",
        detail=detail,
    )


def no_session() -> NotSignedIn:
    """There is no session, or it ended."""
    return NotSignedIn(
        "You are not signed in, or not any more. Open Connect Care from the patient's record in your own system.",
        rule="session.none",
        error="",
    )


def replaced() -> Refusal:
    """A page of a session that isn't the browser's present one, or of none."""
    return Refusal(
        "A new launch has taken this page's place, so nobody's record is shown here. To see this patient, open "
        "Connect Care again from their record in your own system.",
        rule="viewer.replaced",
    )


def no_page() -> Refusal:
    """An address that is no session's page: whose record somebody meant by it can't be told."""
    return Refusal(
        "This address shows nobody's record: each session has a page of its own. Go back to the page that Connect "
        "Care opened, or open it again from the patient's record in your own system.",
        rule="viewer.no-page",
    )


def one_patient() -> Refusal:
    """A page on which others could be found, in a session that a system opened for one patient."""
    return Refusal(
        "This session was opened from one patient's record in your own system, so nobody else can be found in it. To "
        "see another patient, open Connect Care from their record, or sign out and sign in by yourself.",
        rule="viewer.one-patient",
    )


def forged_form() -> Refusal:
    """A form that our own page in this session didn't make."""
    return Refusal(
        "This page doesn't belong to your present session: you may have opened another patient since. Nothing was "
        "done. Close it, and open Connect Care again from the patient's record.",
        rule="session.csrf",
    )
