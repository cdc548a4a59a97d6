"""Origins of browser applications: exactly as browsers send them, or start-up stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.caller.settings import IssuerSettings
from gateway.origin import is_origin
from gateway.settings import Settings, SettingsError, load_settings

ORIGINS = ("https://app.example", "https://app.example:8443", "http://localhost:3000", "http://[::1]:3000")
OTHERS = (
    "", "*", "null", "app.example", "https://app.example/", "https://app.example/x", "https://*.example",
    "https://app.example:443", "http://app.example:80", "https://app.example:x", "https://app.example:99999",
    "https://a@app.example", "HTTPS://app.example", "https://App.example", "https://app.example?x", "https://",
    "ftp://app.example", "https://app.example#x", "https://[::1", "app://here",
)  # fmt: skip


@pytest.mark.parametrize("text", ORIGINS)
def test_what_a_browser_sends(text: str) -> None:
    assert is_origin(text)


@pytest.mark.parametrize("text", OTHERS)
def test_what_it_never_sends(text: str) -> None:
    assert not is_origin(text)


def settings(folder: Path, *origins: str) -> Settings:
    issuer = IssuerSettings(
        issuer="http://127.0.0.1:9/demo", audience="a", algorithms=("ES256",), allow_insecure_loopback=True
    )
    return load_settings(
        None,
        profile="demo",
        public_url="http://127.0.0.1:8000",
        data_dir=folder,
        key_file=folder / "key",
        issuers=(issuer,),
        cors_origins=origins,
    )


def test_start_up_stops_at_a_wrong_one_and_says_what_to_give(tmp_path: Path) -> None:
    assert settings(tmp_path).cors_origins == ()
    assert settings(tmp_path, *ORIGINS).cors_origins == ORIGINS
    with pytest.raises(SettingsError, match="no path, no slash at the end, no star"):
        settings(tmp_path, "https://app.example", "*")
