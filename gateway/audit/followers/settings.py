"""What the settings may say of an external audit repository."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from connectors.sdk.address import address_fault
from connectors.sdk.schemes import AuthSettings, NoAuth, TlsSettings

MOST_IN_A_BATCH: Final = 500


class AuditRepository(BaseModel):
    """An external FHIR audit repository (IHE ATNA, RESTful): its base address, the proof that it asks for, and how many
    events go into one transaction. `timeout` is in seconds, for one transaction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    auth: AuthSettings = NoAuth()
    tls: TlsSettings = TlsSettings()
    batch: int = Field(default=50, ge=1, le=MOST_IN_A_BATCH)
    timeout: float = Field(default=10.0, gt=0, le=120)

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if fault := address_fault(address):
            raise ValueError(f"the address of an audit repository {fault}")
        return address.rstrip("/")

    @property
    def is_open(self) -> bool:
        """True where what goes there could be read on the way, or where nothing proves who we are."""
        parts = urlsplit(self.address)
        return parts.scheme != "https" or (isinstance(self.auth, NoAuth) and not _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
