"""The dashboard, the alert rules and the files around them agree with what the gateway really measures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from ruamel.yaml import YAML

from gateway.audit.followers.model import SINK
from gateway.breaker import BreakerState
from gateway.guard import KINDS
from gateway.log_events import EVENTS
from gateway.observe import catalogue
from gateway.observe.spans import ATTRIBUTES
from gateway.settings import Settings
from gateway.sources import PRACTICES
from tests.contract.deployed import DEPLOY, ROOT, compose

HERE = DEPLOY / "observability"
DOCUMENT = ROOT / "docs" / "observability.md"
RUNBOOKS = ROOT / "docs" / "runbooks"


def read(name: str) -> dict[str, Any]:
    return dict(YAML(typ="safe").load((HERE / name).read_text(encoding="utf-8")))


ALERTS = [rule for group in read("alerts.yml")["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((HERE / "dashboard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """Every query of the rules and the dashboard, as Prometheus gets it."""
    for rule in ALERTS:
        yield rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m")


def measured() -> set[str]:
    """The names of all series that a gateway has."""
    suffixes = {"counter": ("",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    return {each.name + suffix for each in catalogue.metrics() for suffix in suffixes[each.kind]}


def asked_for() -> set[str]:
    return {name for each in expressions() for name in re.findall(r"\bconnect_care_[a-z_]+", each)}


def test_every_query_can_be_read() -> None:
    queries = list(expressions())
    assert len(queries) > 60
    for query in queries:
        promql_parser.parse(query)
    with pytest.raises(ValueError, match=r"."):
        promql_parser.parse("sum(rate(connect_care_answers_total[5m])")


def test_every_metric_that_is_asked_for_is_measured_and_every_one_measured_is_shown() -> None:
    assert asked_for() - measured() == set()
    families = {each.name for each in catalogue.metrics()}
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in asked_for()} | asked_for()
    assert families - shown == set()


def test_every_word_that_a_query_looks_for_is_one_that_a_label_has() -> None:
    words = {
        "event": set(EVENTS),
        "kind": set(KINDS),
        "state": {*BreakerState, "answering", "silent"},
        "source": {PRACTICES},
        "what": {"checkpoint", "copies", "disk"},
        "status": {"5xx"},
        "job": {"connect-care"},
        "copy": {SINK},
        "outcome": {"failed", "timed-out", "search-failed", "not-asked"},
        "rule": {"choice.opted-out", "fair-use.person"},
        "door": {"GET /fhir/R4/Patient/{patient}/$everything", "GET /fhir/R4/{resource_type}", "POST /records"},
    }
    for query in expressions():
        for label, how, wanted in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', query):
            pattern = wanted if how == "=~" else re.escape(wanted)
            assert any(re.fullmatch(pattern, str(word)) for word in words[label]), (label, wanted)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_says_what_is_wrong_and_what_to_read(alert: dict[str, Any]) -> None:
    assert alert["labels"] == {"severity": alert["labels"]["severity"]}
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"].keys() == {"summary", "runbook"}
    assert alert["annotations"]["summary"].endswith((".", "?"))
    named = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
    assert all(f"by ({label})" in alert["expr"] or label == "worker" for label in named)
    to_read = ROOT / alert["annotations"]["runbook"]
    assert to_read == DOCUMENT or to_read.parent == RUNBOOKS
    assert to_read.is_file()


def test_alerts_and_panels_have_names_of_their_own() -> None:
    for names in ([rule["alert"] for rule in ALERTS], [panel["id"] for panel in DASHBOARD["panels"]]):
        assert len(names) == len(set(names))
    assert {panel["datasource"]["uid"] for panel in PANELS} == {read("datasource.yml")["datasources"][0]["uid"]}


def test_the_document_tells_every_event_metric_attribute_and_alert() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for table in (catalogue.events_told(), catalogue.metrics_told(), catalogue.attributes_told()):
        assert table in text, f"docs/observability.md lacks this table; put it there:\n{table}"
    for alert in ALERTS:
        assert f"`{alert['alert']}`" in text
    assert len(ATTRIBUTES) == len(catalogue.attributes_told().splitlines()) - 2


def overlay() -> dict[str, Any]:
    return read("compose.yaml")


def test_prometheus_asks_the_gateway_where_it_tells() -> None:
    gateway = overlay()["services"]["gateway"]
    given = {name.removeprefix("CONNECTCARE_").lower(): value for name, value in gateway["environment"].items()}
    assert given.keys() <= Settings.model_fields.keys()
    (job,) = read("prometheus.yml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"{given['metrics_host']}:{given['metrics_port']}"]}]
    assert gateway["networks"]["watching"]["ipv4_address"] == given["metrics_host"]
    assert read("prometheus.yml")["rule_files"] == ["/etc/prometheus/alerts.yml"]


def test_only_prometheus_shares_a_network_with_the_metrics() -> None:
    networks = {name: set(service["networks"]) for name, service in overlay()["services"].items()}
    assert [name for name, theirs in networks.items() if "watching" in theirs] == ["gateway", "prometheus"]
    assert not networks.keys() & (compose()["services"].keys() - {"gateway"})
    assert overlay()["networks"]["watching"]["internal"] is True
    assert overlay()["services"]["grafana"]["ports"] == ["127.0.0.1:3000:3000"]


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_what_watches_is_as_hardened_as_what_is_watched(name: str) -> None:
    service = overlay()["services"][name]
    assert service["user"].startswith("${RUN_AS:?")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "." not in service["image"].partition(":-")[2].partition("/")[0], "no registry is named"
    for volume in service["volumes"]:
        source, _, mode = volume.split(":")
        assert (ROOT / source).is_file()
        assert mode == "ro"


def test_the_files_name_no_address_of_the_world() -> None:
    for file in sorted(Path(HERE).iterdir()):
        for address in re.findall(r"https?://([^/\s\"']+)", file.read_text(encoding="utf-8")):
            assert address.startswith(("127.0.0.1", "prometheus:")), (file.name, address)
