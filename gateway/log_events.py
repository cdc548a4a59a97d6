"""Every event that the log can hold: its name, what may be said with it, and what it means to an operator.

An event that isn't here, or a key that its event doesn't have, isn't written (`gateway.log`). There is no key for a
header, a body, a name, an NHS number or a path as it was called, so none can be logged by mistake.
docs/observability.md shows this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

REQUEST_ID: Final = "request_id"
OF_AN_ERROR: Final = ("error", "at")
"""The type of an exception with what it came from, and the file and line where it was raised. Never its text."""


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event."""

    meaning: str
    keys: frozenset[str]


def _is(meaning: str, *keys: str) -> Event:
    return Event(meaning, frozenset(keys))


def _failure(meaning: str, *keys: str) -> Event:
    return _is(meaning, *OF_AN_ERROR, *keys)


EVENTS: Final[Mapping[str, Event]] = {
    "audit.copy-failed": _failure(
        "A copy of the journal couldn't be written; tried again", "kind", "attempt", "detail"
    ),
    "audit.copy-recovered": _is("That copy goes on from this row", "kind", "attempt", "row"),
    "audit.copy-stopped": _failure(
        "A copy doesn't agree with the journal: a person must look", "kind", "attempt", "row", "detail"
    ),
    "cds.refused": _is("An EHR asked for a card and got none", "rule", "status", REQUEST_ID),
    "cds.too-late": _is("A card wasn't ready in time, so none was shown", REQUEST_ID),
    "checkpoint.failed": _failure("The journal's rows couldn't be signed; tried again", "alarm", "attempt", "took_ms"),
    "checkpoint.unfinished": _failure("The gateway ended before its last rows were signed", "alarm"),
    "demo-identity.started": _is("The demo's identity provider answers", "address", "pid"),
    "demo-identity.stopped": _is("The demo's identity provider ended", "address"),
    "desk.follow-up-failed": _failure("Cases that wait too long couldn't be looked for; it is tried again"),
    "desk.volume-not-counted": _failure("How many patients somebody saw wasn't counted for this look"),
    "fair-use.not-journalled": _failure("Refusals for fair use were counted and couldn't be written"),
    "gateway.draining": _is("It was told to end: it is not ready any more, and finishes what it began"),
    "gateway.started": _is("A gateway, or one of its workers, answers", "version", "policy_hash", "sources", "kernel"),
    "gateway.stopped": _is("It ended in order", "version"),
    "generation.ended": _is("The last request that began before a reload was answered", "policy_hash"),
    "issuer.discovery-failed": _failure("An issuer's discovery document couldn't be read", "issuer"),
    "keys.refresh-failed": _failure("An issuer's keys couldn't be had: those that are known stay in use", "issuer"),
    "keys.refreshed": _is("An issuer's keys were read", "issuer", "count"),
    "launch.refused": _is("A launch of the viewer was refused", "rule", "status", REQUEST_ID, "detail"),
    "log.unnamed": _is("An event that isn't in this table: a mistake in the gateway's own code"),
    "metrics.unmeasured": _failure("Something couldn't be measured for the metrics this time", "kind"),
    "process.uncaught": _failure("The process ended by an error"),
    "process.unraisable": _failure("An error where nobody could be told of it, in a finaliser say"),
    "reload.done": _is("Policies and organisations were read anew and are in force", "policy_hash", "sources"),
    "reload.refused": _failure("They couldn't be read anew: what was in force goes on", "detail"),
    "report.not-signed": _failure("A patient's report waits for a signature of its newest rows", "alarm"),
    "request.client-gone": _is("Whoever asked went away before the answer", REQUEST_ID),
    "request.fault": _failure("A fault of the gateway's own: the caller got a 500", REQUEST_ID),
    "request.unavailable": _is("Something that was needed wasn't there: a 5xx", "rule", "status", REQUEST_ID),
    "session.began": _is(
        "Somebody began a session of the pages", REQUEST_ID, "organisation", "role", "client_id", "door"
    ),
    "shadow.fault": _failure("A comparison with a source in shadow failed by a fault of our own", "sources"),
    "shadow.looked": _is(
        "What sources in shadow came to in one look, in counts",
        *("sources", "outcome", "count", "gaps", "alarm", "kind", "took_ms"),
    ),
    "signin.ended": _is("An issuer said that somebody signed out", "issuer", "kind"),
    "signin.refused": _is("Somebody's token or sign-in was refused", "rule", "status", REQUEST_ID, "detail", "address"),
    "source.close-failed": _failure("A connection to a source couldn't be closed in order", "source"),
    "source.connect-failed": _failure("A source's connector couldn't be made: its secret is gone, say", "source"),
    "store.backfill.failed": _failure("Moving rows into the database file failed; it is tried again"),
    "store.backfill.stopped": _failure("SQLite moves its rows by itself from now on"),
    "store.log.held": _is("Somebody holds an old state of the store open, and its log grows", "alarm", "count"),
    "store.writer.stopped": _failure("The journal's writer ended: nothing is shown until a restart"),
    "thread.uncaught": _failure("A thread ended by an error"),
    "userinfo.failed": _failure("An issuer didn't say who somebody is", "issuer"),
    "worker.start-failed": _is("A worker that died can't be started anew: the others go on, and it is tried again"),
}

KEYS: Final = frozenset().union(*(event.keys for event in EVENTS.values()))
"""`door` is a route's template, `detail` a sentence of ours, `at` a file and a line, `address` where somebody connected
from or a server listens. `reason` is no key: people write there."""
