"""One row of the journal, one AuditEvent (`pattern.py` says which pattern fits which row).

An event says no more than its row, and less: what the policy kept back, and what a person typed, stays in the journal.
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

from gateway.audit.events import agents, codes, entities
from gateway.audit.events.codes import Json, Profile, coding
from gateway.audit.events.ids import event_id, seq_of
from gateway.audit.events.pattern import Shape, base_of, outcome_of, profile_of, shape_of, why
from gateway.audit.row import Row
from gateway.sealed import Sealer
from gateway.store.interface import Kept


class Events:
    """Makes events of rows. `origin` names the log, `public_url` the gateway as clients know it."""

    def __init__(self, sealer: Sealer, public_url: str, origin: str) -> None:
        self._sealer = sealer
        self._fhir = public_url.rstrip("/") + "/fhir/R4"
        self._origin = origin
        self._observer = agents.gateway(public_url)
        self._site = urlsplit(public_url).hostname or "connect-care"
        self._shapes = {
            Shape.READ: self._read,
            Shape.QUERY: self._query,
            Shape.DISCLOSURE: self._disclosure,
            Shape.AUTHORISATION: self._authorisation,
            Shape.OTHER: self._other,
        }

    def id_of(self, seq: int) -> str:
        """The id of the event of the row with this number."""
        return event_id(self._origin, seq)

    def seq_of(self, id_: str) -> int | None:
        """The number of the row whose event this is; None where it is none of this log's."""
        return seq_of(self._origin, id_)

    def of(self, kept: Kept) -> Json:
        """The event, as FHIR JSON. Raises Unsealable where the row's patient was sealed with another key."""
        row = kept.row
        nhs_number = self._sealer.open_patient(row.sealed_patient) if row.sealed_patient else None
        moment, outcome = _instant(row.at), outcome_of(row)
        return {
            "resourceType": "AuditEvent",
            "id": self.id_of(kept.seq),
            "meta": _meta(row),
            "period": {"start": moment, "end": moment},
            "recorded": moment,
            "outcome": outcome,
            **({"outcomeDesc": why(row)} if outcome != codes.SUCCESS else {}),
            "source": {"site": self._site, "observer": self._observer, "type": [codes.APPLICATION_SERVER]},
            **self._shapes[shape_of(row)](kept, nhs_number),
        }

    def _read(self, kept: Kept, nhs_number: str | None) -> Json:
        return {
            "type": codes.REST,
            "subtype": [codes.READING],
            "action": "R",
            "agent": self._parties(kept.row, client=codes.DESTINATION, server=codes.SOURCE),
            "entity": [entities.resource(kept.row, self._fhir, nhs_number), *self._entities(kept, nhs_number)],
        }

    def _query(self, kept: Kept, nhs_number: str | None) -> Json:
        return {
            "type": codes.REST,
            "subtype": _searching(kept.row.door),
            "action": "E",
            "agent": self._parties(kept.row, client=codes.SOURCE, server=codes.DESTINATION),
            "entity": [entities.query(kept.row), *self._entities(kept, nhs_number)],
        }

    def _disclosure(self, kept: Kept, nhs_number: str | None) -> Json:
        row = kept.row
        if row.lawful is not None:
            receiving = [agents.receiver(row.lawful.recipient), agents.client(row.who)]
        else:
            receiving = [agents.client(row.who, codes.DESTINATION)]
        return {
            "type": codes.EXPORT,
            "subtype": [codes.DISCLOSE, codes.READING if entities.is_read(row) else codes.SEARCHING],
            "action": "R",
            "purposeOfEvent": agents.purposes_of_disclosure(row),
            "agent": [agents.server(self._observer, codes.SOURCE, self._fhir), *receiving, *_people(row)],
            "entity": [entities.disclosed(row), *self._entities(kept, nhs_number)],
        }

    def _authorisation(self, kept: Kept, nhs_number: str | None) -> Json:
        row = kept.row
        about = [entities.patient(nhs_number)] if nhs_number else []
        token = [entities.token(row.who.token_id)] if row.who and row.who.token_id else []
        return {
            "type": codes.SECURITY_ALERT,
            "subtype": [codes.BY_CONSENT],
            "action": "E",
            "agent": [agents.authoriser(self._observer), agents.client(row.who), *_people(row)],
            "entity": [*about, entities.consent(row, self._origin, kept.seq), *token],
        }

    def _other(self, kept: Kept, nhs_number: str | None) -> Json:
        type_, subtype, action = base_of(kept.row)
        return {
            "type": type_,
            "subtype": [subtype],
            "action": action,
            "agent": self._parties(kept.row, client=codes.APPLICATION, server=codes.DESTINATION),
            "entity": self._entities(kept, nhs_number),
        }

    def _parties(self, row: Row, *, client: Json, server: Json) -> list[Json]:
        answering = agents.server(self._observer, server, self._fhir)
        return [agents.client(row.who, client), answering, *_people(row)]

    def _entities(self, kept: Kept, nhs_number: str | None) -> list[Json]:
        patient = [entities.patient(nhs_number)] if nhs_number else []
        request = [entities.request(kept.row.request_id)] if kept.row.request_id else []
        return [*patient, *request, entities.journal_row(kept.row, self._origin, kept.seq)]


def _meta(row: Row) -> Json:
    """The kind of row as a tag, since BALP leaves no room for it elsewhere; and the profiles that the event obeys."""
    profile, who = profile_of(row), row.who
    names_token = who is not None and bool(who.token_id and who.user_id and who.client_id)
    claimed = [*([profile.value] if profile else []), *([Profile.TOKEN.value] if names_token else [])]
    return {**({"profile": claimed} if claimed else {}), "tag": [coding(codes.KIND, row.kind.value)]}


def _people(row: Row) -> list[Json]:
    if row.who is None:
        return []
    return [agents.user(row.who), *([agents.organisation(row.who)] if row.who.organisation else [])]


def _searching(door: str) -> list[Json]:
    """A door of our own, and `$everything`, find a patient's resources as a search does."""
    if "$" in door or "/fhir/" not in door:
        return [codes.SEARCHING, codes.OPERATION]
    return [codes.SEARCHING_TYPE]


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
