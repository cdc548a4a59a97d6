"""One resource by its id: the same pipeline as a search, towards the one source that the sealed id names."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.sdk.model import Item
from gateway.api.bundle import to_json
from gateway.api.questions import headers_of
from gateway.api.usable import Usable
from gateway.caller.model import Caller
from gateway.errors import GatewayError, NobodyAnswered, NotFound
from gateway.locate import Look
from gateway.sealed import Sealer, Unsealable
from gateway.search.include import explained
from gateway.search.pairs import pairs_of
from gateway.search.parse import nhs_number, parse_read
from gateway.search.query import Reading
from gateway.search.summary import shaped
from gateway.search.supporting import SUPPORTING_READS, sections_of
from gateway.shown import Rendered, Shown


@dataclass(slots=True)
class ReadById:
    """One resource by its sealed id (a Patient by NHS number).

    A supporting resource is nobody's by itself: it is shown where an item that refers to it is, and the look goes
    through the sections that may hold such an item.
    """

    door: str
    request_id: str
    resource_type: str
    id: str
    raw_query: bytes
    sealer: Sealer
    usable: Usable | None = None
    reading: Reading | None = field(default=None, init=False)

    def look(self, caller: Caller) -> Look:
        """Open the sealed id. Raises NotFound for one that isn't ours, BadRequest for a wrong parameter."""
        self.reading = parse_read(self.resource_type, pairs_of(self.raw_query))
        patient, source = self._whose()
        barred = self.usable.barred(caller, self.resource_type) if self.usable else None
        return Look(patient, self.door, self.request_id, sections_of(self.resource_type), source, barred=barred)

    def _whose(self) -> tuple[str, str | None]:
        if self.resource_type == "Patient" and "." not in self.id:
            return nhs_number(self.id, "id"), None
        try:
            return self.sealer.open_id(self.id)
        except Unsealable as error:
            raise self._not_found() from error

    def search(self, shown: Shown) -> Rendered:
        """Find it among what is shown. Hidden and absent are told in the same words."""
        item = self._found(shown)
        if item is None:
            raise self._unavailable(shown) or self._not_found()
        reading = self.reading or Reading()
        body = to_json(shaped(item.resource, reading.summary, reading.elements))
        return Rendered(body, headers_of(shown.manifest), [item], sent=[body])

    def _found(self, shown: Shown) -> Item | None:
        if not shown.caller.grants.lets_read(self.resource_type):
            return None  # what comes along with others isn't readable by that alone
        by_reference = {f"{item.type}/{item.sealed_id}": item for item in shown.items}
        if self.resource_type in SUPPORTING_READS:
            referring = (item for item in shown.items if item.section is not None)
            by_reference = explained(referring, by_reference.get)
        return by_reference.get(f"{self.resource_type}/{self.id}")

    def _unavailable(self, shown: Shown) -> GatewayError | None:
        sections = sections_of(self.resource_type)
        missing = [line.name for line in shown.manifest.lines if any(map(line.lacks, sections))]
        if not missing:
            return None
        return NobodyAnswered(
            f"It can't be told now whether this exists: {', '.join(missing)} could not be read. Try again shortly.",
            rule="sources.gap",
        )

    def _not_found(self) -> NotFound:
        return NotFound(f"There is no such {self.resource_type} for you here.", rule="read.not-found")
