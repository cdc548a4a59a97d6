"""The systems that `gp_connect` talks to in the demo and in tests: three practices' GP Connect providers.

    create_app("G85005")  one practice's provider as an ASGI app: /fhir, and its switch at /_sandbox/G85005
    organisations()       the ODS codes that there is data for

Each serves the structured record, "Find a patient", a patient's appointments, and its own entry of the Spine directory
(`/fhir/Endpoint`, `/fhir/Device`). The people are those of the demo. One of them (Winston Campbell) dissents from
sharing at the practice; one (Daniel Okafor) has items marked confidential; one (Siobhan Murphy) an allergy that ended.
A patient who has left or died isn't found, as the specification demands. Production code never imports this package.
"""

from __future__ import annotations

from connectors.gp_connect.sandbox.holdings import hold, organisations
from connectors.gp_connect.sandbox.provider import Provider
from connectors.kit.sandbox import Sandbox

__all__ = ["create_app", "organisations"]


def create_app(ods: str, *, canaries: bool = False) -> Sandbox:
    """The sandbox of one practice. Raises LookupError, with a sentence, for one that there is no data for."""
    if ods not in organisations():
        raise LookupError(f"There is no sandbox data for {ods}. Add {ods}/*.json to the gp_connect sandbox.")
    held = hold(ods, canaries=canaries)
    return Sandbox(ods, Provider(held), canaries=held.canaries)
