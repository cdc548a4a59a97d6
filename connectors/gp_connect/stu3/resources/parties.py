"""Practitioner, PractitionerRole, Organization, Location: who, as what, for whom, where. R4 changed next to nothing."""

from __future__ import annotations

from typing import Final

from connectors.gp_connect.stu3.rules import Rules, To, kept

PRACTITIONER: Final = Rules(
    "Practitioner",
    {
        **kept("identifier", "active", "name", "telecom", "address", "gender", "birthDate", "photo", "qualification"),
        **kept("communication"),
    },
)

PRACTITIONER_ROLE: Final = Rules(
    "PractitionerRole",
    {
        **kept("identifier", "active", "period", "practitioner", "organization", "code", "specialty", "location"),
        **kept("healthcareService", "telecom", "availableTime", "notAvailable", "availabilityExceptions", "endpoint"),
    },
)

ORGANIZATION: Final = Rules(
    "Organization",
    kept("identifier", "active", "type", "name", "alias", "telecom", "address", "partOf", "contact", "endpoint"),
)

LOCATION: Final = Rules(
    "Location",
    {
        **kept("identifier", "status", "operationalStatus", "name", "alias", "description", "mode", "telecom"),
        **kept("address", "physicalType", "position", "managingOrganization", "partOf", "endpoint"),
        "type": To("type", many=True),
    },
)
