"""What an organisation's `settings` may say when its connector is `pds`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from connectors.sdk.auth import AuthSettings, NoAuth, TlsSettings


class Settings(BaseModel):
    """How the register is asked. All else is fixed by its specification, or by what this connector never does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    auth: AuthSettings = NoAuth()
    tls: TlsSettings = TlsSettings()
