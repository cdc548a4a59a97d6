"""A sharing choice in the words of staff: the command line and the pages say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.choice.model import Channel, Choice, IdentifiedBy, StatedBy

STATED_BY: Final[Mapping[StatedBy, str]] = {
    StatedBy.PATIENT: "the patient",
    StatedBy.PROXY: "a proxy",
    StatedBy.REPRESENTATIVE: "the representative of a patient who has died",
}
CHANNELS: Final[Mapping[Channel, str]] = {
    Channel.PHONE: "by phone",
    Channel.IN_PERSON: "in person",
    Channel.LETTER: "by letter",
    Channel.EMAIL: "by email",
    Channel.ONLINE: "online",
}
IDENTIFIED_BY: Final[Mapping[IdentifiedBy, str]] = {
    IdentifiedBy.NOT_SAID: "nobody wrote down how",
    IdentifiedBy.DOCUMENTS: "by documents that they showed",
    IdentifiedBy.KNOWN: "by somebody here who knows them",
    IdentifiedBy.QUESTIONS: "by questions about their record",
    IdentifiedBy.CALLED_BACK: "by calling back on a number that was known already",
    IdentifiedBy.SIGNED_IN: "by their own sign-in",
}
CHOICES: Final[Mapping[Choice, str]] = {Choice.OPTED_OUT: "opted out of", Choice.OPTED_IN: "opted in to"}
MEANS: Final[Mapping[Choice, str]] = {
    Choice.OPTED_OUT: "No organisation is asked any more, and nobody is shown the record. Every permission to look has "
    "ended. They can opt back in at any time.",
    Choice.OPTED_IN: "Staff who care for them may look once they have asked. A permission from before an opt-out "
    "doesn't hold.",
}
DEFAULT: Final = "No choice was ever recorded. In force now: opted in, as everybody is who hasn't said otherwise."
