"""One spelling for every NHS number: a choice recorded under another spelling would protect nobody."""

from __future__ import annotations

from connectors.sdk.nhs_number import parse_nhs_number
from gateway.errors import BadRequest


def nhs_number_of(typed: str) -> str:
    """The ten digits. Raises BadRequest with a sentence that doesn't repeat what was typed."""
    try:
        return parse_nhs_number(typed)
    except ValueError as error:
        raise BadRequest(str(error), rule="nhs-number.invalid", expression="nhsNumber") from error
