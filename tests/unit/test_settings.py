"""Starts closed: a setting that is wrong, missing, unknown or unsafe stops start-up with a sentence."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.model import Answer, Ask
from gateway.app import started as started_for_good
from gateway.assembly import assemble
from gateway.audit.checkpoints import new_key
from gateway.audit.row import Kind
from gateway.lifetime import close
from gateway.outside import Outside
from gateway.production import lacks_of
from gateway.sealed import new_master_key
from gateway.settings import SettingsError, load_settings
from gateway.store.interface import StoreUnusable
from gateway.taking_part import load_register

TOMORROW = datetime.now(UTC).date() + timedelta(days=1)
ISSUER = {"issuer": "https://login.example/oidc", "audience": "connect-care", "algorithms": ["ES256"]}


class NobodyThere:
    """A connector that is never asked."""

    async def ask(self, ask: Ask) -> Answer:
        raise AssertionError(ask.request_id)

    async def aclose(self) -> None:
        """Nothing to close."""


def good(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {
        "public_url": "https://connectcare.example",
        "data_dir": str(tmp_path / "data"),
        "key_file": str(tmp_path / "master.key"),
        "checkpoint_key": str(tmp_path / "checkpoint.key"),
        "audit_sink": str(tmp_path / "sink.jsonl"),
        "issuers": [ISSUER],
        **more,
    }


def written(tmp_path: Path, values: Any) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text(values if isinstance(values, str) else json.dumps(values))
    return file


def test_a_file_of_settings_is_read(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, good(tmp_path, permission_hours=2)))
    assert settings.permission_lasts.total_seconds() == 7200
    assert settings.fhir_base == "https://connectcare.example/fhir/R4"
    assert not settings.is_demo


def test_the_environment_says_what_the_file_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTCARE_DEADLINE", "4.5")
    assert load_settings(written(tmp_path, good(tmp_path))).deadline == 4.5
    assert load_settings(written(tmp_path, good(tmp_path, deadline=2))).deadline == 2


def test_an_unknown_variable_stops_start_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTCARE_DEADLIEN", "4.5")
    with pytest.raises(SettingsError, match="CONNECTCARE_DEADLIEN"):
        load_settings(written(tmp_path, good(tmp_path)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"deadlien": 3}, "unknown setting deadlien. Remove it"),
        ({"public_url": "http://connectcare.example"}, "must be https in production"),
        ({"public_url": "HTTP://connectcare.example"}, "must be https in production"),
        ({"public_url": "https://"}, "must be https in production"),
        ({"issuers": []}, "issuers"),
        (
            {"issuers": [{**ISSUER, "issuer": "http://127.0.0.1:9/demo", "allow_insecure_loopback": True}]},
            "allow_insecure_loopback is for the demo",
        ),
        ({"issuers": [{**ISSUER, "issuer": "http://login.example"}]}, "https"),
        ({"issuers": [{**ISSUER, "algorithms": ["HS256"]}]}, "issuers.0.algorithms"),
        ({"cors_origins": ["http://app.example"]}, "cors_origins must be https in production"),
        ({"cors_origins": ["https://*.example"]}, "no star"),
        ({"addresses": {"RJ2": "http://127.0.0.1:1/fhir"}}, "addresses is for the demo"),
        ({"audit_sink": None}, "audit_sink is missing: with the one store"),
        ({"checkpoint_key": None}, "checkpoint_key is missing: without it nobody can prove"),
        ({"checkpoint_signer": "/run/signer"}, "Give one of them"),
        ({"checkpoint_key": None, "checkpoint_signer": "/run/signer"}, "go together"),
        ({"checkpoint_public": "c.pub"}, "go together"),
        ({"checkpoint_seconds": 0}, "checkpoint_seconds"),
        ({"deadline": 0}, "deadline"),
        ({"sender_constraint": "optional"}, "sender_constraint must be required in production"),
        ({"sender_constraint": "none"}, "sender_constraint"),
        ({"certificate_proxies": ["10.0.0.0/8"]}, "name the proxies, not a network of others"),
        ({"certificate_proxies": ["proxy.example"]}, "certificate_proxies"),
        ({"metrics_host": "0.0.0.0"}, "metrics_host: .*give one address"),
        ({"metrics_host": "::"}, "metrics_host: .*give one address"),
        ({"metrics_host": "::ffff:0.0.0.0"}, "metrics_host: .*give one address"),
        ({"metrics_host": "::ffff:8.8.8.8"}, "metrics_host: .*give one address"),
        ({"metrics_host": "8.8.8.8"}, "a private network which only your collector"),
        ({"metrics_host": "localhost"}, "metrics_host"),
        ({"metrics_port": 70000}, "metrics_port"),
        ({"otlp_endpoint": "collector.example:4318"}, "give the address of a collector's traces"),
        ({"otlp_endpoint": "https://user:secret@collector.example/v1/traces"}, "give the address of a collector's"),
        ({"otlp_endpoint": "http://collector.example/v1/traces"}, "otlp_endpoint must be https in production"),
        ({"traces_ratio": 0}, "traces_ratio"),
        ({"profile": "test"}, "profile"),
    ],
)
def test_a_wrong_setting_stops_start_up(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(written(tmp_path, good(tmp_path, **change)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a list", "must hold settings"),
        ("a: [", "is not YAML"),
        ("a: \x06", "is not YAML"),
        ("a: 2026-02-30", "is not YAML"),
        ("{}", "public_url is missing"),
    ],
)
def test_a_file_that_holds_no_settings_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(written(tmp_path, text))


def test_senders_must_prove_who_they_are_in_production_and_may_in_the_demo(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, good(tmp_path))).sender_must_prove
    assert load_settings(written(tmp_path, good(tmp_path, sender_constraint="required"))).sender_must_prove
    assert not load_settings(written(tmp_path, good(tmp_path, profile="demo"))).sender_must_prove
    assert load_settings(
        written(tmp_path, good(tmp_path, profile="demo", sender_constraint="required"))
    ).sender_must_prove


@pytest.mark.parametrize(
    "change",
    [
        {"metrics_port": 9464},
        {"metrics_port": 9464, "metrics_host": "10.1.2.3"},
        {"metrics_port": 9464, "metrics_host": "fd00::17"},
        {"metrics_port": 9464, "metrics_host": "100.64.3.4"},  # pods have such addresses where RFC 1918's are short
        {"otlp_endpoint": "https://collector.example/v1/traces", "traces_ratio": 1},
        {"otlp_endpoint": "http://127.0.0.1:4318/v1/traces"},
        {"profile": "demo", "otlp_endpoint": "http://collector:4318/v1/traces"},
    ],
)
def test_metrics_and_spans_go_where_only_the_operator_sees_them(tmp_path: Path, change: dict[str, Any]) -> None:
    settings = load_settings(written(tmp_path, good(tmp_path, **change)))
    assert settings.model_dump(include=set(change)) == change


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't be read"):
        load_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "change",
    [
        {"address": "sandbox"},
        {"address": "sandbox", "stage": "planned"},
        {"address": "http://rj2.example/fhir", "stage": "shadow"},
        {"address": "http://rj2.example/fhir"},
        {"address": "HTTP://rj2.example/fhir"},
    ],
)
def test_production_asks_no_sandbox_and_no_plain_http(tmp_path: Path, change: dict[str, str]) -> None:
    entry = {
        "ods": "RJ2",
        "name": "A trust",
        "type": "acute-trust",
        "stage": "live",
        "connector": "fhir_r4",
        "address": "https://rj2.example/fhir",
        "sections": ["results"],
        **change,
    }
    file = tmp_path / "organisations.yaml"
    file.write_text(json.dumps({"organisations": [entry]}))
    with pytest.raises(SettingsError, match="RJ2 is a sandbox or has a plain HTTP address"):
        load_register(load_settings(None, **good(tmp_path, organisations_file=file)))


def test_production_refuses_the_shipped_demo_register(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="sandbox"):
        load_register(load_settings(None, **good(tmp_path)))


async def started(tmp_path: Path, **more: Any) -> None:
    values = good(tmp_path, profile="demo", **more)
    parts = await assemble(load_settings(None, **values), Outside(lambda organisation: NobodyThere()))
    await parts.store.aclose()


async def test_no_key_no_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="connectcare keys new"):
        await started(tmp_path)


async def test_a_short_key_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "master.key").write_text("abcd")
    with pytest.raises(ValueError, match="32 bytes"):
        await started(tmp_path)


async def test_no_policies_no_start(tmp_path: Path) -> None:
    new_master_key(tmp_path / "master.key")
    (tmp_path / "policies").mkdir()
    with pytest.raises(ConfigurationError):
        await started(tmp_path, policies_dir=tmp_path / "policies")


async def test_a_journal_that_another_process_writes_stops_start_up(tmp_path: Path) -> None:
    new_master_key(tmp_path / "master.key")
    new_key(tmp_path / "checkpoint.key", "care.example/journal")
    values = good(tmp_path, profile="demo")
    parts = await assemble(load_settings(None, **values), Outside(lambda organisation: NobodyThere()))
    try:
        with pytest.raises(StoreUnusable):
            await started(tmp_path)
    finally:
        await parts.store.aclose()


async def test_another_key_than_the_stores_stops_start_up_and_lets_go_of_the_store(tmp_path: Path) -> None:
    key = tmp_path / "master.key"
    new_master_key(key)
    new_key(tmp_path / "checkpoint.key", "care.example/journal")
    await started(tmp_path)
    right = key.read_text()
    key.write_text("ab" * 32)
    with pytest.raises(StoreUnusable, match="Give the key file it was written with"):
        await started(tmp_path)
    key.write_text(right)
    await started(tmp_path)


async def test_what_is_asked_below_silver_in_production_is_a_row_at_each_start(tmp_path: Path) -> None:
    new_master_key(tmp_path / "master.key")
    new_key(tmp_path / "checkpoint.key", "connectcare.example/journal")
    accepted = {"reason": "its test endpoint opens next month", "by": "A. Owner", "until": str(TOMORROW)}
    entry = {"ods": "RJ2", "name": "A", "type": "acute-trust", "stage": "live", "connector": "fhir_r4"}
    entry |= {"address": "https://rj2.example/fhir", "sections": ["results"], "accepted_below_silver": accepted}
    file = tmp_path / "organisations.yaml"
    file.write_text(json.dumps({"organisations": [entry]}))
    outside = Outside(lambda organisation: NobodyThere())
    for profile, rows in (("demo", 0), ("production", 1), ("production", 2)):
        given = load_settings(None, **good(tmp_path, profile=profile, organisations_file=file))
        parts = await started_for_good(given, outside)
        kept = await parts.store.rows(kinds=frozenset({Kind.CONFIGURED}))
        await close(parts)
        assert len(kept) == rows
    configured = kept[0].row.configured
    assert configured is not None
    told = f"fhir_r4 at RJ2 until {TOMORROW}, by A. Owner: its test endpoint opens next month"
    assert (configured.accepted, configured.policy) == ([told], parts.policy.hash)
    assert (configured.organisations, configured.policy_before) == (parts.organisations.digest, "")


def test_https_in_capitals_is_https(tmp_path: Path) -> None:
    assert load_settings(None, **good(tmp_path, public_url="HTTPS://connectcare.example")).fhir_base


async def test_a_journal_that_cannot_be_written_stops_start_up(tmp_path: Path) -> None:
    new_master_key(tmp_path / "master.key")
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises((StoreUnusable, OSError)):
        await started(tmp_path)


def test_production_tells_everything_that_it_lacks_at_once_each_with_its_line(tmp_path: Path) -> None:
    file = written(tmp_path, good(tmp_path))
    file.write_text(
        "public_url: http://connectcare.example\n"
        f"data_dir: {tmp_path}\nkey_file: {tmp_path}/key\n"
        "sender_constraint: optional\n"
        "issuers: [{issuer: 'https://login.example', audience: a, algorithms: [ES256]}]\n"
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{file}:1", f"{file}:4", str(file), str(file)]
    assert "audit_sink is missing" in lines[2]
    assert "checkpoint_key is missing" in lines[3]


def test_a_way_to_sign_in_on_loopback_is_for_the_demo(tmp_path: Path) -> None:
    here = {"issuer": "http://127.0.0.1:9/demo", "allow_insecure_loopback": True}
    sign_in = {"name": "the demo's", "tag": "demo", "client_id": "c", **here}
    demo = load_settings(None, **good(tmp_path, profile="demo", issuers=[{**ISSUER, **here}], sign_ins=[sign_in]))
    assert [lack.where for lack in lacks_of(demo)] == ["sender_constraint", "issuers", "sign_ins"]
