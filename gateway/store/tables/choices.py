"""Sharing choices: every one that was ever recorded; the newest holds."""

from __future__ import annotations

from typing import Any, Final

from gateway.choice.model import Channel, Choice, IdentifiedBy, SharingChoice, StatedBy
from gateway.store.connection import Connection
from gateway.store.moments import from_micros, to_micros

_INSERT: Final = (
    "INSERT INTO sharing_choice (number, id, patient, sealed_patient, choice, stated_by, channel, recorded_by, "
    "recorded_by_name, organisation, recorded_at, reason, proxy, identified_by) VALUES ("
    "(SELECT coalesce(max(number), 0) + 1 FROM sharing_choice), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_OF_PATIENT: Final = (
    "SELECT id, patient, sealed_patient, choice, stated_by, channel, recorded_by, recorded_by_name, organisation, "
    "recorded_at, reason, proxy, identified_by FROM sharing_choice WHERE patient = ? ORDER BY number"
)


def insert_choice(connection: Connection, choice: SharingChoice) -> None:
    connection.execute(
        _INSERT,
        (
            choice.id,
            choice.patient,
            choice.sealed_patient,
            choice.choice.value,
            choice.stated_by.value,
            choice.channel.value,
            choice.recorded_by,
            choice.recorded_by_name,
            choice.organisation,
            to_micros(choice.recorded_at),
            choice.reason,
            choice.proxy,
            choice.identified_by.value,
        ),
    )


def select_choices(connection: Connection, patient: str) -> list[SharingChoice]:
    """Oldest first, in the order in which they were committed: that order, and not a clock, says which holds."""
    return [_choice(*record) for record in connection.execute(_OF_PATIENT, (patient,)).fetchall()]


def current_choice(connection: Connection, patient: str) -> SharingChoice | None:
    """The one that was committed last."""
    found = connection.execute(_OF_PATIENT + " DESC LIMIT 1", (patient,)).fetchall()
    return _choice(*found[0]) if found else None


def sealed_patients(connection: Connection) -> set[str]:
    """Whom the choices are about."""
    found = connection.execute("SELECT DISTINCT sealed_patient FROM sharing_choice").fetchall()
    return {value for (value,) in found}


def _choice(*record: Any) -> SharingChoice:
    id_, patient, sealed, choice, stated_by, channel, by, by_name, organisation, at, reason, proxy, identified = record
    return SharingChoice(
        id=id_,
        patient=patient,
        sealed_patient=sealed,
        choice=Choice(choice),
        stated_by=StatedBy(stated_by),
        channel=Channel(channel),
        recorded_by=by,
        recorded_by_name=by_name,
        organisation=organisation,
        recorded_at=from_micros(at),
        reason=reason,
        proxy=proxy,
        identified_by=IdentifiedBy(identified),
    )
