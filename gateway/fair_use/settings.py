"""What the settings may say of fair use: limits in words (`300 per minute; 6000 per hour`), for each kind of use."""

from __future__ import annotations

from typing import Annotated, Final

from limits import RateLimitItem, parse_many
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_LONGEST: Final = 24 * 60 * 60
_MOST: Final = 1_000_000
_MOST_WINDOWS: Final = 4


def _limits_in_words(text: str) -> str:
    """Raises ValueError for what can't be read, allows nothing, or can't be counted in a worker's memory."""
    try:
        items = parse_many(text)
    except ValueError:
        raise ValueError("write limits as 300 per minute, or as 30 per 10 minutes; 200 per day") from None
    if len(items) > _MOST_WINDOWS:
        raise ValueError(f"give at most {_MOST_WINDOWS} limits")
    if any(not 1 <= item.amount <= _MOST for item in items):
        raise ValueError(f"a limit allows 1 to {_MOST} requests")
    if any(item.get_expiry() > _LONGEST for item in items):
        raise ValueError("the longest window of a limit is a day: counts are kept in memory")
    return text


Limits = Annotated[str, AfterValidator(_limits_in_words)]


def windows(text: str) -> list[RateLimitItem]:
    """The limits that a setting holds; all of them apply."""
    return list(parse_many(text))


class Budget(BaseModel):
    """How much of one kind of request a person, an application and an organisation may make.

    `client_in_organisation` is for one application's requests out of one organisation, so that one that runs wild meets
    its own limit before everybody else there is refused; without it, half of the organisation's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    person: Limits
    client: Limits
    organisation: Limits
    client_in_organisation: Limits | None = None


class FairUseSettings(BaseModel):
    """`requests` counts everything that a signed-in person asks, looks above all. `person_searches` are searches by
    name and birth date, `best_interests` are permissions without the patient's word: each counts as a request too.

    `workers` is how many processes serve in all, on every machine; without it, as many as `--workers` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: Budget = Budget(person="300 per minute", client="12000 per minute", organisation="6000 per minute")
    person_searches: Budget = Budget(
        person="30 per 10 minutes; 200 per day", client="2400 per 10 minutes", organisation="1200 per 10 minutes"
    )
    best_interests: Budget = Budget(
        person="10 per 10 minutes; 40 per day", client="600 per 10 minutes", organisation="300 per 10 minutes"
    )
    workers: int | None = Field(default=None, ge=1, le=4096)
