"""Who has asked too much: counts by person, by client and by organisation, and when there is room again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from limits import RateLimitItem
from limits.strategies import MovingWindowRateLimiter

from gateway.caller.model import Caller, KnownCaller, Role
from gateway.fair_use.settings import Budget, FairUseSettings, windows
from gateway.fair_use.window import Windows

_LEAST_SHARE: Final = 5
"""What a worker lets through whatever its share: connections aren't spread evenly, and one worker may get them all."""
_LEAST_SHARE_OF_REQUESTS: Final = 60
"""The same for requests, in which a client asks in parallel over one connection: three full batches in one worker."""


class Use(StrEnum):
    """What is counted by itself."""

    REQUEST = "requests"
    PERSON_SEARCH = "person_searches"
    BEST_INTERESTS = "best_interests"


class Scope(StrEnum):
    """For whom it is counted, the narrowest first: that is the one that is told where several are reached."""

    PERSON = "person"
    CLIENT_IN_ORGANISATION = "client_in_organisation"
    CLIENT = "client"
    ORGANISATION = "organisation"


class Exceeded(NamedTuple):
    """The first limit that is reached, in the words of the settings, and after how many seconds to try again."""

    use: Use
    scope: Scope
    limit: str
    seconds: int


class _Limit(NamedTuple):
    use: Use
    scope: Scope
    said: str
    share: RateLimitItem


class Counts:
    """This worker's counts. Each of `workers` holds its share of every limit. `clock` is seconds since 1970."""

    def __init__(self, settings: FairUseSettings, clock: Callable[[], float], workers: int) -> None:
        self._clock = clock
        self._limiter = MovingWindowRateLimiter(Windows(clock))
        self._limits = _limits_of(settings, workers)

    def take(self, caller: Caller, uses: Sequence[Use]) -> Exceeded | None:
        """Count one request of these uses, or say which limit it would go over: then nothing is counted.

        Nothing else runs between the test and the count: this is no coroutine.
        """
        keys = _keys(caller)
        return self._take([limit for limit in self._of(uses) if limit.scope in keys], keys)

    def take_of_refused(self, known: KnownCaller) -> Exceeded | None:
        """Count one request of somebody who may not ask here, as the person that they are and nothing else: what they
        say of their organisation wasn't accepted, and must not use up the room of those who work there."""
        limits = [limit for limit in self._limits[Use.REQUEST] if limit.scope is Scope.PERSON]
        return self._take(limits, {Scope.PERSON: person_key(known)})

    def _take(self, limits: Sequence[_Limit], keys: Mapping[Scope, str]) -> Exceeded | None:
        reached = [limit for limit in limits if not self._limiter.test(limit.share, *_key(limit, keys))]
        if reached:
            first = reached[0]
            return Exceeded(first.use, first.scope, first.said, max(self._seconds(limit, keys) for limit in reached))
        for limit in limits:
            self._limiter.hit(limit.share, *_key(limit, keys))
        return None

    def _of(self, uses: Sequence[Use]) -> Iterator[_Limit]:
        return (limit for use in uses for limit in self._limits[use])

    def _seconds(self, limit: _Limit, keys: Mapping[Scope, str]) -> int:
        stats = self._limiter.get_window_stats(limit.share, *_key(limit, keys))
        longest = limit.share.get_expiry()
        return min(max(math.ceil(stats.reset_time - self._clock()), 1), longest)


def _limits_of(settings: FairUseSettings, workers: int) -> Mapping[Use, tuple[_Limit, ...]]:
    return MappingProxyType(
        {
            use: tuple(
                _Limit(use, scope, _said(item), _share(use, item, workers))
                for scope in Scope
                for item in _windows(getattr(settings, use), scope)
            )
            for use in Use
        }
    )


def _windows(budget: Budget, scope: Scope) -> list[RateLimitItem]:
    if scope is Scope.CLIENT_IN_ORGANISATION and budget.client_in_organisation is None:
        return [_divided(item, 2) for item in windows(budget.organisation)]
    return windows(getattr(budget, scope))


def _share(use: Use, item: RateLimitItem, workers: int) -> RateLimitItem:
    least = _LEAST_SHARE_OF_REQUESTS if use is Use.REQUEST else _LEAST_SHARE
    return _divided(item, workers, min(item.amount, least))


def _divided(item: RateLimitItem, by: int, least: int = 1) -> RateLimitItem:
    amount = max(math.ceil(item.amount / by), least)
    return type(item)(amount, item.multiples)


def _said(item: RateLimitItem) -> str:
    window = item.GRANULARITY.name if item.multiples == 1 else f"{item.multiples} {item.GRANULARITY.name}s"
    return f"{item.amount} per {window}"


def person_key(caller: Caller | KnownCaller) -> str:
    """One person of one issuer, whichever of their roles they use; a client, where it is a system without a person."""
    return json.dumps([caller.issuer, caller.user_id] if caller.user_id else [caller.issuer, "", caller.client_id])


def _keys(caller: Caller) -> Mapping[Scope, str]:
    """A client is counted whoever uses it; in an organisation, whoever there uses it. Patients are in none, and all of
    them use the one client of their provider: each is counted alone."""
    if caller.role is Role.PATIENT:
        return {Scope.PERSON: person_key(caller)}
    return {
        Scope.PERSON: person_key(caller),
        Scope.CLIENT_IN_ORGANISATION: json.dumps([caller.issuer, caller.client_id, caller.organisation]),
        Scope.CLIENT: json.dumps([caller.issuer, caller.client_id]),
        Scope.ORGANISATION: caller.organisation,
    }


def _key(limit: _Limit, keys: Mapping[Scope, str]) -> tuple[str, str, str]:
    return limit.use, limit.scope, keys[limit.scope]
