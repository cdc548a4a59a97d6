"""A FHIR document (R4, Documents): one Bundle of one moment, whose first entry is its Composition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from connectors.sdk.model import Item, Resource
from gateway.api.bundle import Sending, completeness_tags, instant, issues, to_json
from gateway.shown import Shown

URI: Final = "urn:ietf:rfc:3986"
"""The system of an identifier that is a URI."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document, before it is written. `id` is its own, `moment` when it was made.

    Clinical resources have the address where each can be read; what the gateway wrote has a name within the document,
    and no address where it could be read again.
    """

    id: UUID
    moment: datetime
    shown: Shown
    public_base: str

    @property
    def base(self) -> str:
        """What the addresses of clinical resources begin with."""
        return self.public_base.rstrip("/") + "/fhir/R4/"

    def name_of(self, written: Resource) -> str:
        """The name of a resource that the gateway wrote: the same whenever it's asked for."""
        return f"urn:uuid:{uuid5(self.id, '{resourceType}/{id}'.format_map(written))}"

    def outcome(self) -> Resource:
        """What each source said."""
        return {
            "resourceType": "OperationOutcome",
            "id": f"{self.id}-sources",
            "issue": issues(self.shown.manifest),
        }

    def bundle(self, cover: Resource, items: Iterable[Item], written: Sequence[Resource], sending: Sending) -> bytes:
        """The whole, in this order: the Composition, the items, what else the gateway wrote. `sending` gets the bytes
        of each item."""
        entries: list[dict[str, Any]] = [
            self._entry(cover),
            *(
                {"fullUrl": f"{self.base}{item.type}/{item.sealed_id}", "resource": sending.raw(item.resource)}
                for item in items
            ),
            *map(self._entry, written),
        ]
        return to_json(
            {
                "resourceType": "Bundle",
                "id": str(self.id),
                "meta": {"lastUpdated": instant(self.moment), "tag": completeness_tags(self.shown.manifest)},
                "identifier": {"system": URI, "value": f"urn:uuid:{self.id}"},
                "type": "document",
                "timestamp": instant(self.moment),
                "entry": entries,
            }
        )

    def _entry(self, written: Resource) -> dict[str, Any]:
        return {"fullUrl": self.name_of(written), "resource": written}
