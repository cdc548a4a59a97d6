"""What the Helm chart may be told: values that would open something, or name an image that can change, are refused."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from connectors.sdk.organisations import load_organisations
from gateway.settings import load_settings
from gateway.taking_part import lacks_of_register
from gateway.version import VERSION
from tests.contract.charts import CHART, EXAMPLE, example, read, schema
from tests.contract.deployed import DEPLOY
from tests.quick import every

Faulty = tuple[str, Any]


def faults(values: dict[str, Any]) -> list[str]:
    """Where the schema refuses something."""
    found = jsonschema_rs.validator_for(schema()).iter_errors(values)
    return [".".join(map(str, error.instance_path)) for error in found]


def with_value(place: str, value: Any) -> dict[str, Any]:
    values = deepcopy(example())
    *steps, last = place.split(".")
    target: Any = values
    for step in steps:
        target = target[int(step)] if isinstance(target, list) else target[step]
    target[last] = value
    return values


def test_the_example_is_complete_and_the_defaults_alone_are_not() -> None:
    assert faults(example()) == []
    missing = faults(read(CHART / "values.yaml"))
    for place in ("image.digest", "publicUrl", "secrets.keys", "database.url", "network.clients", "network.sources"):
        assert place in missing, missing


def test_every_value_that_there_is_is_in_the_schema() -> None:
    assert set(read(CHART / "values.yaml")) == set(schema()["properties"]) - {"global"}


@pytest.mark.parametrize(
    ("place", "value"),
    every(
        4,
        [
            ("image.repository", "registry/connect-care:latest"),
            ("image.digest", "latest"),
            ("image.digest", ""),
            ("proxy.image.digest", "1.29"),
            ("replicaCount", 1),
            ("autoscaling.minReplicas", 1),
            ("publicUrl", "http://connectcare.example.nhs.uk"),
            ("issuers", []),
            ("issuers.0.issuer", "http://login.example.nhs.uk"),
            ("database.url", "postgresql://gateway:secret@db/connect_care?sslmode=verify-full"),
            ("database.url", "postgresql://gateway@db/connect_care"),
            ("database.url", "postgresql://gateway@db/connect_care?sslmode=require"),
            ("database.url", "sqlite:///data"),
            ("network.clients", []),
            ("network.clients", [{}]),
            ("network.database.peers", []),
            ("network.database.peers", [{"ipBlock": {"cidr": "0.0.0.0/0"}}]),
            ("network.sources", []),
            ("network.sources.0.cidrs", []),
            ("network.sources.0.cidrs", ["0.0.0.0/0"]),
            ("network.sources.0.cidrs", ["::/0"]),
            ("network.sources.0.cidrs", ["fhir.rj2.example.nhs.uk"]),
            ("network.sources.0.name", "RJ2\n    - to: []"),
            ("network.dns.labels", {}),
            ("ending.drain", 0),
            ("podDisruptionBudget.maxUnavailable", 0),
            ("secrets.masterKey", "00"),
            (
                "metrics",
                {"enabled": True, "port": 9464, "clients": []},
            ),  # for nobody, which a network policy would take for everybody
            ("unheard-of", True),
        ],
    ),
)
def test_what_would_be_unsafe_is_refused(place: str, value: Any) -> None:
    refused = faults(with_value(place, value))
    assert refused
    assert any(place.startswith(where) or where.startswith(place) for where in refused), refused


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("image.repository", "registry:5000/team/connect-care"),
        ("database.url", "postgresql://gateway@db-1,db-2/connect_care?target_session_attrs=rw&sslmode=verify-full"),
        ("network.sources.0.cidrs", ["2001:db8::/32", "10.0.0.0/8"]),
    ],
)
def test_what_is_usual_is_taken(place: str, value: Any) -> None:
    assert faults(with_value(place, value)) == []


def test_the_charts_version_is_the_gateways() -> None:
    chart = read(CHART / "Chart.yaml")
    assert chart["appVersion"] == VERSION


def test_the_charts_proxy_is_the_one_that_is_tested() -> None:
    file = CHART / "files" / "nginx.conf"
    assert file.is_symlink()
    assert file.resolve() == DEPLOY / "proxy" / "nginx.conf"
    assert not Path(file.readlink()).is_absolute()


def test_what_the_chart_says_for_itself_are_settings_that_there_are(tmp_path: Path) -> None:
    text = (CHART / "templates" / "_helpers.tpl").read_text(encoding="utf-8")
    own = [line.split('"')[1] for line in text.splitlines() if line.startswith('  "')]
    assert {"profile", "key_file", "database", "drain_seconds"} <= set(own)
    fields = type(load_settings(None, **minimal(tmp_path))).model_fields
    assert set(own) <= set(fields)


@pytest.mark.parametrize("kind", ["service", "networkpolicy"])
def test_the_proxy_s_port_is_told_by_number(kind: str) -> None:
    """It is a native sidecar's, whose named ports Kubernetes before 1.32 doesn't find: a Service would lead nowhere."""
    ports = re.findall(r"\b(?:targetPort|port): (https|8443)\b", (CHART / "templates" / f"{kind}.yaml").read_text())
    assert ports == ["8443"]


def test_production_takes_the_organisations_of_the_example(tmp_path: Path) -> None:
    file = tmp_path / "organisations.yaml"
    file.write_text(json.dumps({"organisations": read(EXAMPLE)["organisations"]}))
    settings = load_settings(None, **minimal(tmp_path), organisations_file=file)
    assert [str(lack) for lack in lacks_of_register(settings, load_organisations(file))] == []


def minimal(folder: Path) -> dict[str, Any]:
    issuer = {"issuer": "https://login.example", "audience": "connect-care", "algorithms": ["ES256"]}
    return {
        "profile": "demo",
        "public_url": "https://connectcare.example",
        "data_dir": folder,
        "key_file": folder / "key",
        "issuers": [issuer],
    }
