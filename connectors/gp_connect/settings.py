"""What an organisation's `settings` may say when its connector is `gp_connect`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from connectors.sdk.address import address_fault
from connectors.sdk.auth import AuthSettings, NoAuth, TlsSettings

OdsCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,10}$")]
Asid = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]
Plain = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]*[!-~])?$", max_length=200)]


def _whole(url: str) -> str:
    if fault := address_fault(url):
        raise ValueError(fault)
    return url


Url = Annotated[str, AfterValidator(_whole)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Device(_Part):
    """This installation of the gateway, as every practice's audit names it (`requesting_device`)."""

    system: Url
    value: Plain
    model: Plain = "Connect Care"
    version: Plain = "1"


class Sds(_Part):
    """The Spine Directory Service: which endpoint and ASID serve a practice, for one interaction at a time.

    `manufacturer` is the ODS code of whoever supplies this gateway: it tells our ASID at a caller's organisation from
    other suppliers'. `ttl` is how many seconds an answer may be used again. No clinical data passes here.
    """

    address: Url
    auth: AuthSettings = NoAuth()
    tls: TlsSettings = TlsSettings()
    manufacturer: OdsCode | None = None
    ttl: float = Field(default=300, ge=0, le=3600)


class Settings(_Part):
    """How practices are asked; all those of a borough share one.

    `issuer` and `device` say who we are in the token of every request; `tls` holds the Spine client certificate.
    Without `sds`, `asids` names the ASID of every practice and of every organisation whose staff ask, and the
    organisation's `address` is the practice's own endpoint. With `sds`, an entry in `asids` goes before a look-up.
    `spine_proxy` is set in front of the practice's address. `uncategorised` asks for uncategorised data (blood
    pressures, weights) with the results. `appointments`: whether future appointments are asked for with contacts, and
    how many days ahead.
    """

    issuer: Url | None = None
    device: Device | None = None
    tls: TlsSettings = TlsSettings()
    sds: Sds | None = None
    asids: Mapping[OdsCode, Asid] = Field(default_factory=dict)
    spine_proxy: Url | None = None
    uncategorised: bool = True
    appointments: bool = True
    appointment_days: int = Field(default=365, ge=1, le=1095)
