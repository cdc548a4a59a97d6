"""The copies that the settings ask for."""

from __future__ import annotations

from pathlib import Path

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.http import Transport
from gateway.audit.events.render import Events
from gateway.audit.followers.model import Followed
from gateway.audit.followers.push import Push, Repository
from gateway.audit.followers.runner import Follower, Followers
from gateway.audit.followers.settings import AuditRepository
from gateway.audit.followers.sink import Sink, require_usable


def made_followers(
    store: Followed,
    events: Events,
    sink: Path | None,
    repository: AuditRepository | None,
    transport: Transport | None = None,
) -> Followers:
    """The followers, not yet started; none where nothing is asked for. `transport` replaces the network towards the
    repository, in tests.

    Raises StoreUnusable where the sink can't be written, ConfigurationError where the repository's proof can't be had.
    """
    found = []
    if sink is not None:
        require_usable(sink)
        found.append(Follower(store, Sink(sink, store)))
    if repository is not None:
        try:
            found.append(Follower(store, Push(Repository(repository, transport), events, repository.batch)))
        except ConfigurationError as error:
            raise ConfigurationError(f"audit_repository: {error}") from error
    return Followers(found)
