"""Mutants that take a refusal for something else."""

from __future__ import annotations

from connectors.sdk.bundle import Page
from connectors.sdk.errors import (
    Busy,
    NoRecord,
    NotUnderstood,
    Refused,
    Unwell,
    WrongContent,
)
from tests.connectors.mutants.bodies import nothing
from tests.connectors.mutants.reference import Look, Reference


class K08(Reference):
    """Takes a refusal for "not known"."""

    async def fetch(self, look: Look, url: str) -> bytes:
        try:
            return await super().fetch(look, url)
        except Refused as error:
            raise NoRecord("refused") from error


class K09(Reference):
    """Takes a question that the source didn't understand for "not known"."""

    async def fetch(self, look: Look, url: str) -> bytes:
        try:
            return await super().fetch(look, url)
        except NotUnderstood as error:
            if "404" in str(error):
                raise
            raise NoRecord("not understood") from error


class K10(Reference):
    """Takes a wrong address for "not known"."""

    async def fetch(self, look: Look, url: str) -> bytes:
        try:
            return await super().fetch(look, url)
        except NotUnderstood as error:
            if "404" not in str(error):
                raise
            raise NoRecord("not there") from error


class K11(Reference):
    """Takes "too many calls" for a broken system."""

    async def fetch(self, look: Look, url: str) -> bytes:
        try:
            return await super().fetch(look, url)
        except Busy as error:
            raise Unwell(str(error)) from error


class K12(Reference):
    """Takes a system that is down for a busy one."""

    async def fetch(self, look: Look, url: str) -> bytes:
        try:
            return await super().fetch(look, url)
        except Unwell as error:
            raise Busy(str(error)) from error


class K13(Reference):
    """Takes an OperationOutcome for a list of nothing."""

    def read(self, body: bytes) -> Page:
        try:
            return super().read(body)
        except WrongContent:
            if body.startswith(b'{"resourceType":"OperationOutcome","issue"') and body.endswith(b"}]}"):
                return nothing()
            raise
