"""Asks the Personal Demographics Service (PDS FHIR API, R4): a Patient by NHS number, or by what somebody knows."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from connectors.pds.mirrored import REQUEST_ID, Mirrored
from connectors.pds.outcomes import codes_of, instead, meant
from connectors.pds.patient import check_number, guarded, read_patient
from connectors.pds.search import judge, query_of
from connectors.pds.settings import Settings
from connectors.sdk.auth import authorizer, tls_context
from connectors.sdk.connector import Setup
from connectors.sdk.errors import SourceError
from connectors.sdk.http import AiohttpTransport, Limits, SourceClient
from connectors.sdk.model import Answer, Ask, Found, Gap, Item, Outcome, PersonSought, Section

LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes. The fullest Patient published by the register's own team has 11 kB."""

_CORRELATION: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_ROLE_PROFILE: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_ODS: Final = re.compile(r"[A-Z0-9]{2,10}", re.ASCII)


def connect(setup: Setup) -> Pds:
    """The connector. Raises ConfigurationError where its secrets can't be read."""
    settings: Settings = setup.settings
    tls = tls_context(settings.tls, settings.auth)
    limits = Limits(max_bytes=LARGEST_ANSWER)
    client = SourceClient(
        setup.organisation.address or "",
        Mirrored(setup.transport or AiohttpTransport(limits, tls)),
        limits=limits,
        authorize=authorizer(settings.auth, transport=setup.transport, tls=tls),
    )
    return Pds(setup.organisation.ods, client)


class Pds:
    """The national register of people: a Connector, and the Finder."""

    def __init__(self, source: str, client: SourceClient) -> None:
        self._source = source
        self._client = client

    async def ask(self, ask: Ask) -> Answer:
        """One Patient. Raises Superseded, Invalidated, NoRecord, or another `SourceError`. See Connector."""
        client = self._client.counted()
        body = await _get(client, f"Patient/{quote(ask.nhs_number, safe='')}", ask)
        if (codes := codes_of(body)) is not None:
            raise instead(codes)
        resource, findings = read_patient(body)
        check_number(resource, ask.nhs_number)
        resource, findings = guarded(resource, findings)
        item = Item(self._source, resource, Section.DEMOGRAPHICS, str(resource["id"]), findings=findings)
        answer = Answer(self._source, Outcome.ANSWERED, [item], calls=client.calls, includes=frozenset())
        # The register holds no clinical section. Asked for one, it must not look as if that were empty.
        if gaps := dict.fromkeys(sorted(ask.sections - {Section.DEMOGRAPHICS}), Gap.NOT_ASKED):
            answer.gaps, answer.outcome, answer.told = gaps, Outcome.PARTIAL, "answered in part"
        return answer

    async def find(self, sought: PersonSought) -> Found:
        """See Finder. Raises `NotSearchable`, a ValueError too, for details that can't be searched by."""
        client = self._client.counted()
        return judge(await _get(client, f"Patient?{query_of(sought)}", sought), sought)

    async def aclose(self) -> None:
        """See Connector."""
        await self._client.aclose()


async def _get(client: SourceClient, url: str, question: Ask | PersonSought) -> bytes:
    """The body of a 200 answer. Raises what the register means by an error."""
    try:
        return await client.get(url, deadline=question.deadline, headers=_headers(question), read_errors=True)
    except SourceError as error:
        told = meant(error)
        if told is error:
            raise
        raise told from error


def _headers(question: Ask | PersonSought) -> dict[str, str]:
    """Who asks, as the register's audit wants it. What doesn't have its header's form is left out, never bent.

    The request's id is new for each question, since the register takes a second request with the same id for a repeat.
    """
    by = question.asked_by
    offered = (
        ("X-Correlation-ID", question.request_id, _CORRELATION),
        ("NHSD-Session-URID", by.role_profile_id, _ROLE_PROFILE),
        ("NHSD-End-User-Organisation-ODS", by.organisation, _ODS),
    )
    return {REQUEST_ID: str(uuid4())} | {name: value for name, value, form in offered if form.fullmatch(value)}
