"""Rules that stand in no policy: checks of the gateway itself, what each means and what makes the thing possible.

By exact id, or by the family before the first full stop. A test walks over every rule id in the code.
"""

from __future__ import annotations

from typing import Final

from gateway.choice.refusals import NO_PERMISSION, OPTED_OUT, PERMISSION_ENDED

_MEND: Final = "The request was wrong in itself: mended, it would have been asked."
_TRY_AGAIN: Final = "Tried again later, it may be answered."

REFUSALS: Final[dict[str, tuple[str, str]]] = {
    OPTED_OUT: (
        "The patient had opted out of Connect Care, so there was no record to show.",
        "The patient can opt back in at any time (POST /sharing-choices). What a statute or a court requires isn't "
        "barred by an opt-out: that is a disclosure (POST /disclosures).",
    ),
    NO_PERMISSION: (
        "The caller held no permission to see this patient's record at that moment.",
        "The patient's agreement at the point of care (POST /permissions, patient-agreed); or, for a role that may "
        "decide it, the best interests of a patient who can't answer.",
    ),
    PERMISSION_ENDED: (
        "The permission ended, by its time or by the patient's word, before the record could be shown.",
        "A new permission: the patient is asked again.",
    ),
    "permission.replaced": ("A newer permission had taken this one's place.", "Extending the newest one."),
    "permission.unknown": ("There is no such permission about this patient.", "One that the patient's page lists."),
    "permission.not-yours": ("The permission is not this caller's.", "Nobody uses or reads another's permission."),
    "patient.unknown": (
        "No organisation that takes part knew a patient with this NHS number.",
        "The right NHS number, or an organisation that knows the patient joining.",
    ),
    "patient.birth-date-differs": (
        "The birth date was not the one that the organisations hold for this NHS number.",
        "The right NHS number and birth date, checked with the patient.",
    ),
    "policy.not-kept": ("No policy with that hash is kept here.", "One of those that are kept."),
    "register.superseded": (
        "The national register has replaced this NHS number by another.",
        "The patient's current NHS number.",
    ),
    "register.invalidated": ("The national register says that this number is nobody's.", "The right NHS number."),
    "patient.another": (
        "A patient asked about somebody else.",
        "Nobody asks about another person on their own pages: who speaks for them talks to the GP practice.",
    ),
    "signin.not-proven": (
        "The person who signed in as a patient had not proved who they are.",
        "Proving it at the service that they sign in with.",
    ),
    "signin.too-young": (
        "The person who signed in as a patient is too young to speak for themselves here.",
        "A parent or carer talking to the GP practice.",
    ),
    "read.not-found": (
        "No such resource was among what this caller may be shown: it doesn't exist, or it is withheld.",
        "Where it exists: a role, permission or scope under which the policy shows it.",
    ),
    "fault": ("The gateway itself failed.", _TRY_AGAIN),
    "gateway.leaving": ("This process of the gateway was being stopped.", "Another process, or the one that follows."),
    "no-audit-no-data": ("The journal couldn't be written, so nothing was shown.", _TRY_AGAIN),
    "live.cut-short": (
        "Whoever asked went away before all of the record had come; what had been released by then stays listed.",
        "Asking again, which is another look.",
    ),
    "token.revoked": ("The sign-in had been ended by then.", "A new sign-in, and another look."),
    "token.expired": ("The sign-in's time was over by then.", "A new sign-in, and another look."),
    "session.none": (
        "The caller had signed out by then, or the session's time was over.",
        "Signing in again, and another look.",
    ),
    "filter.misplaced": (
        "The organisation's connector put it under a section that isn't its own, so no rule could judge it.",
        "The connector mended.",
    ),
    "filter.unshowable": (
        "What may be shown of it would not have been valid or true.",
        "A role or permission that sees it whole.",
    ),
    "filter.scope": (
        "The scopes of the application's token leave it out, whatever the policy would show.",
        "A token whose scopes let it through (docs/sign-on.md).",
    ),
    "caller.patient-context": (
        "The application's token was for the patient in context alone, and this is another, or none was named.",
        "Starting the application from this patient's record.",
    ),
    "caller.sign-in-strength": (
        "The sign-in was not strong enough, or too long ago, for this purpose of use.",
        "Signing in again, as strongly as the answer asks for.",
    ),
    "whereabouts.sensitive": (
        "The patient's whereabouts are restricted: what tells where they live or are registered is shown to nobody.",
        "The restriction lifted by those who set it.",
    ),
    "whereabouts.unchecked": (
        "Whether the patient's whereabouts are restricted couldn't be checked, so they were shown to nobody.",
        "The national register answering.",
    ),
}
FAMILIES: Final[dict[str, tuple[str, str]]] = {
    "audit": ("The question to the audit was wrong in itself.", _MEND),
    "batch": ("The batch, or an entry of it, was not one that is offered.", _MEND),
    "body": ("The request's body couldn't be taken.", _MEND),
    "caller": (
        "The token was genuine, and its holder may not use Connect Care in that way.",
        "A sign-in as a person, in one role that takes part, in an organisation that takes part, for direct care.",
    ),
    "cds": ("The EHR's call for a card couldn't be answered as it was made, or not in time.", _MEND),
    "certificate": (
        "A client certificate was told by a sender who isn't the proxy.",
        "The request going through the proxy.",
    ),
    "checkpoint": (
        "The journal has no such signed checkpoint.",
        "One that it has; or the next one, once it is signed.",
    ),
    "choice": ("The sharing choice was not stated as it must be.", _MEND),
    "consent": ("There is no such consent here.", _MEND),
    "cors": ("A web page of another origin asked.", "Its origin among those that the gateway is set to answer."),
    "desk": ("The privacy officer's desk doesn't allow that step.", "A step that the case's state allows."),
    "disclosure": ("The disclosure was not claimed as it must be.", _MEND),
    "docs": ("There is no such page of the documentation.", _MEND),
    "fair-use": (
        "The person, their application or their organisation had asked for more than is fair in that time.",
        "Asking again after the time that the answer named.",
    ),
    "my": ("The patient's own page was not asked for as it must be.", _MEND),
    "status": ("The page was not asked for as it must be.", _MEND),
    "office": (
        "The address of a page of the privacy officer's couldn't be used.",
        "Its menu leads to every page there is.",
    ),
    "form": ("The form that was sent couldn't be taken.", _MEND),
    "host": ("The request was addressed to another name.", _MEND),
    "gateway": ("More looks were waiting than could be begun in time; nobody was asked.", _TRY_AGAIN),
    "home": ("The page was not asked for as it must be.", _MEND),
    "launch": (
        "The launch from the caller's own system couldn't be accepted.",
        "A new launch, by a system that is registered, for a patient with an NHS number.",
    ),
    "live": ("The event stream was not asked for as it must be.", _MEND),
    "nhs-number": ("What was given is no NHS number.", "The right NHS number, checked with the patient."),
    "permission": ("The permission was not asked for as it must be.", _MEND),
    "register": ("The national register couldn't say who the patient is.", _TRY_AGAIN),
    "report": ("The access report was not asked for as it must be.", _MEND),
    "representation": ("The caller wanted another form than FHIR JSON.", _MEND),
    "resource": ("There is no such protected resource.", _MEND),
    "route": ("There is no such door.", _MEND),
    "scope": ("The application's token doesn't let it ask this.", "A token with the scope."),
    "search": ("The search was not one that is offered.", _MEND),
    "session": ("There was no session that could go on, or the form wasn't its own.", "A new launch."),
    "signin": ("The sign-in was not begun as it must be.", "A sign-in from the page that offers it."),
    "smart": ("The gateway is set to no issuer that SMART clients could sign in with.", "One in its settings."),
    "sources": ("Too few organisations could answer to show anything.", _TRY_AGAIN),
    "static": ("There is no such file of the pages.", _MEND),
    "token": ("The access token couldn't be accepted.", "A new sign-in."),
    "type": (
        "The caller's role never sees that type of resource, or it isn't offered.",
        "A role whose view has it.",
    ),
    "viewer": ("The viewer's page was not asked for as it must be.", _MEND),
}


def said_of(rule: str) -> tuple[str, str] | None:
    """(what the check means, what would have made it possible); None for a rule that is in nobody's list."""
    return REFUSALS.get(rule) or FAMILIES.get(rule.partition(".")[0])
