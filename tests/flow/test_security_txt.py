"""Whom to tell of a security hole: RFC 9116."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.api.security_txt import LASTS, PATH, security_text
from gateway.settings import SettingsError, load_settings
from tests.flow.stack import running
from tests.unit.test_settings import good, written

NOW = datetime(2026, 3, 2, 9, 30, 15, 123456, tzinfo=UTC)


async def test_it_names_whom_the_settings_name_to_anybody(tmp_path: Path) -> None:
    contact = "mailto:security@connectcare.example"
    async with running(tmp_path, security_contact=contact) as stack:
        answer = await stack.client.get(PATH)
        assert answer.status_code == 200
        # Section 3: text/plain, in UTF-8.
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
        assert fields["Contact"] == contact
        assert fields["Canonical"] == stack.parts.settings.public_url + PATH
        expires = datetime.fromisoformat(fields["Expires"])
        assert timedelta(days=89) < expires - datetime.now(UTC) <= LASTS


async def test_where_nobody_is_named_there_is_no_file(tmp_path: Path) -> None:
    async with running(tmp_path) as stack:
        answer = await stack.client.get(PATH)
        assert answer.status_code == 404
        assert "Ask the organisation that runs this gateway" in answer.text


def test_each_line_is_a_field_of_the_standard() -> None:
    text = security_text("https://connectcare.example/report", "https://connectcare.example/care", NOW)
    assert text.splitlines() == [
        "Contact: https://connectcare.example/report",
        "Expires: 2026-05-31T09:30:15Z",
        "Preferred-Languages: en",
        "Canonical: https://connectcare.example/.well-known/security.txt",
    ]
    assert re.fullmatch(r"([A-Za-z-]+: [ -~]+\n)+", text)
    # Section 2.5.5: less than a year into the future.
    assert timedelta(days=365) > LASTS


@pytest.mark.parametrize(
    "contact",
    [
        "security@connectcare.example",
        "http://connectcare.example/report",
        "mailto:nobody",
        "mailto:a@b.example\nExpires: 2999-01-01T00:00:00Z",
        "mailto:a@b.example ",
        "javascript:alert(1)",
        "",
    ],
)
def test_what_is_no_contact_stops_start_up(tmp_path: Path, contact: Any) -> None:
    with pytest.raises(SettingsError, match=r"security_contact: .*give one address: mailto:"):
        load_settings(written(tmp_path, good(tmp_path, security_contact=contact)))
