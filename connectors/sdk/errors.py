"""What can go wrong while asking a source, by what happens next.

    SourceError
    ├── Retriable          the call may be made once more, inside the retry budget
    │   ├── Unreachable    no connection, or it broke
    │   └── Unwell         5xx
    ├── Busy               429: it asks for fewer calls, so it never gets a second one
    ├── SourceTimeout      the absolute deadline passed: never retried, there is no time left
    ├── Refused            401 or 403: our credentials, or the source's own policy
    ├── Withheld           the source says the patient or the practice does not share: never overridden
    ├── NoRecord           the source does not know the patient
    │   └── Invalidated    the register says that this NHS number must not be used any more
    ├── Superseded         the register says that another NHS number has taken this one's place
    └── Unusable           what came can't be trusted: nothing of it is used
        ├── TooMuch        bytes, entries, depth or pages beyond the caps
        ├── WrongContent   not FHIR JSON, a redirect, a foreign next link
        ├── NotUnderstood  400, 404 and the like: the entry in organisations.yaml doesn't fit the source
        └── Ambiguous      several patients carry the NHS number; nobody guesses
    ConfigurationError     an organisation's entry is wrong: stops start-up

Each `SourceError` carries two texts: `str(error)` for the operator's log, `told` for the person who asked. Neither
holds an identifier; a body or header from the source never goes into either.
"""

from __future__ import annotations

from typing import ClassVar


class SourceError(Exception):
    """Asking a source failed. `told` is the sentence for the person who asked."""

    told: ClassVar[str] = "could not be asked"
    said: bytes = b""
    """The body that came with a status that is no answer, where a connector asked for it (`read_errors`), of at most
    64 KiB. It is for the connector's eyes: it goes into neither text, into no log, and no further than the connector.
    """


class Retriable(SourceError):
    """The same call may succeed if made again."""


class Unreachable(Retriable):
    """No connection, or the connection broke before the answer was whole."""

    told = "could not be reached"


class Unwell(Retriable):
    """The source answered 5xx."""

    told = "answered with an error"


class Busy(SourceError):
    """The source answered 429: it asks for fewer calls, so this one isn't made again."""

    told = "is too busy to answer"


class SourceTimeout(SourceError):
    """The absolute deadline passed before the answer was whole."""

    told = "did not answer in time"


class Refused(SourceError):
    """The source refused our credentials or our question (401, 403)."""

    told = "refused the question"


class Withheld(SourceError):
    """The source says that this patient's record isn't shared. It is shown as withheld, never as empty."""

    told = "withholds this record"


class NoRecord(SourceError):
    """The source does not know the patient."""

    told = "has no record of this patient"


class Invalidated(NoRecord):
    """The national register says that this NHS number is not anybody's any more."""

    told = "says that this NHS number is no longer valid"


class Superseded(SourceError):
    """The national register says that another number has replaced this one. It is shown, and never followed silently.

    `current` is that number: it belongs to the patient who was asked for, so it goes to the caller and into no log.
    """

    told = "says that this NHS number was replaced by another"

    def __init__(self, current: str) -> None:
        super().__init__("the number was superseded")
        self.current = current


class Unusable(SourceError):
    """What the source sent can't be trusted, so nothing of it is used."""

    told = "sent something that can't be trusted"


class TooMuch(Unusable):
    """Bytes, entries, depth or pages beyond the caps."""

    told = "sent more than can be handled safely"


class WrongContent(Unusable):
    """Not FHIR JSON, a redirect, or a link that leaves the source."""


class NotUnderstood(Unusable):
    """The source did not understand the question: its entry in organisations.yaml doesn't fit it."""

    told = "did not understand the question"


class Ambiguous(Unusable):
    """More than one patient of the source carries the NHS number."""

    told = "holds more than one patient with this NHS number"


class ConfigurationError(Exception):
    """An organisation's entry is wrong. The text names file, line and remedy."""
