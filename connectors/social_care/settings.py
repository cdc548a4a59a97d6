"""What an organisation's `settings` may say when its connector is `social_care`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from connectors.sdk.auth import AuthSettings, NoAuth, TlsSettings


class Unverified(StrEnum):
    """What becomes of a person whose NHS number the council has not verified against the national register."""

    HOLD_BACK = "hold-back"
    SHOW_WITH_WARNING = "show-with-warning"


class Settings(BaseModel):
    """How this council is asked.

    `cap` is the most matches that its facade sends in one answer, and what `_count` asks for: an answer with so many
    can't be known to be whole. `person_number_system` is the identifier system of the council's own person number;
    without it that number stays behind. `codes_file` is a table like `codes.yaml` with the council's own local codes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auth: AuthSettings = Field(default=NoAuth(), description="how we show who we are")
    tls: TlsSettings = Field(default=TlsSettings(), description="whose certificates are trusted, and our own")
    cap: int = Field(default=100, ge=2, le=1000, description="the most matches that the facade sends in one answer")
    unverified_number: Unverified = Field(
        default=Unverified.HOLD_BACK, description="what becomes of a person whose NHS number isn't verified"
    )
    person_number_system: str | None = Field(
        default=None, min_length=1, description="identifier system of the council's own person number"
    )
    codes_file: Path | None = Field(default=None, description="the council's local codes in plain words (YAML)")
