"""The Helm chart as Helm renders it: linted, held against Kubernetes' own schemas, and read for what it promises."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from connectors.sdk.organisations import load_organisations
from gateway.settings import load_settings
from tests.contract.charts import CHART, EXAMPLE, example, read
from tests.contract.go_tools import HELM, found

pytestmark = pytest.mark.slow

Manifest = dict[str, Any]
OLDEST, NEWEST = "1.29", "1.37"
"""The first Kubernetes that the chart is for, and the last of which there are schemas."""


@pytest.fixture(scope="module")
def helm() -> Path:
    return found(HELM)


@pytest.fixture(scope="module")
def rendered(helm: Path) -> list[Manifest]:
    """All manifests of the example."""
    return render(helm)


def run(helm: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm, *arguments], check=False, capture_output=True, text=True, timeout=120)


def template(helm: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(
        helm, "template", "trust", str(CHART), "--namespace", "care", "--kube-version", f"{NEWEST}.0", *arguments
    )


def render(helm: Path, *arguments: str) -> list[Manifest]:
    done = template(helm, "--values", str(EXAMPLE), *arguments)
    assert done.returncode == 0, done.stderr
    return [dict(one) for one in YAML(typ="safe").load_all(done.stdout) if one]


def the(manifests: list[Manifest], kind: str) -> Manifest:
    [one] = [manifest for manifest in manifests if manifest["kind"] == kind]
    return one


def pod(manifests: list[Manifest]) -> dict[str, Any]:
    return dict(the(manifests, "Deployment")["spec"]["template"]["spec"])


def containers(manifests: list[Manifest]) -> dict[str, dict[str, Any]]:
    spec = pod(manifests)
    return {one["name"]: one for one in [*spec["initContainers"], *spec["containers"]]}


def test_helm_finds_no_fault(helm: Path) -> None:
    done = run(helm, "lint", "--strict", str(CHART), "--values", str(EXAMPLE))
    assert done.returncode == 0, done.stdout


def test_the_defaults_alone_install_nothing(helm: Path) -> None:
    done = template(helm)
    assert done.returncode != 0
    assert "digest" in done.stderr


def test_it_is_made_of_these(rendered: list[Manifest]) -> None:
    assert sorted(one["kind"] for one in rendered) == [
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    ]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_takes_it(rendered: list[Manifest], version: str) -> None:
    for manifest in rendered:
        kubernetes_validate.validate(json.loads(json.dumps(manifest, default=str)), version, strict=True)


def test_every_container_is_held(rendered: list[Manifest]) -> None:
    assert set(containers(rendered)) == {"migrate", "proxy", "gateway"}
    for container in containers(rendered).values():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert container["resources"]["limits"]["memory"]
        assert re.fullmatch(r"[^@:]+@sha256:[0-9a-f]{64}", container["image"])
    spec = pod(rendered)
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    assert spec["automountServiceAccountToken"] is False
    assert the(rendered, "ServiceAccount")["automountServiceAccountToken"] is False
    assert not any("hostPath" in volume for volume in spec["volumes"])


def test_no_secret_is_in_an_environment_or_in_the_chart(rendered: list[Manifest]) -> None:
    for container in containers(rendered).values():
        assert not container.keys() & {"env", "envFrom"}
        assert "sh" not in container["command"]
    assert not any(one["kind"] == "Secret" for one in rendered)


def test_secrets_are_mounted_for_the_group_alone(rendered: list[Manifest]) -> None:
    modes = [
        volume[kind]["defaultMode"]
        for volume in pod(rendered)["volumes"]
        for kind in ("secret", "projected")
        if kind in volume
    ]
    assert len(modes) == 5
    assert set(modes) == {0o440}
    assert pod(rendered)["securityContext"]["fsGroup"] == 10001


def test_only_what_goes_to_memory_can_be_written(rendered: list[Manifest]) -> None:
    volumes = {volume["name"]: volume for volume in pod(rendered)["volumes"]}
    for container in containers(rendered).values():
        for mount in container["volumeMounts"]:
            is_memory = volumes[mount["name"]].get("emptyDir", {}).get("medium") == "Memory"
            assert is_memory is not bool(mount.get("readOnly"))


def test_pods_reach_what_the_values_list_and_nothing_else(rendered: list[Manifest]) -> None:
    network = example()["network"]
    listed = [*network["issuers"], *network["auditRepository"], *network["sources"]]
    policy = the(rendered, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["podSelector"]["matchLabels"] == the(rendered, "Deployment")["spec"]["selector"]["matchLabels"]
    dns, database, *others = policy["egress"]
    assert [(port["protocol"], port["port"]) for port in dns["ports"]] == [("UDP", 53), ("TCP", 53)]
    assert dns["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ]
    assert database == {"to": network["database"]["peers"], "ports": [{"protocol": "TCP", "port": 5432}]}
    assert others == [
        {
            "to": [{"ipBlock": {"cidr": cidr}} for cidr in one["cidrs"]],
            "ports": [{"protocol": "TCP", "port": one["port"]}],
        }
        for one in listed
    ]


def test_only_clients_reach_pods_and_at_the_tls_port_alone(rendered: list[Manifest]) -> None:
    policy = the(rendered, "NetworkPolicy")["spec"]
    assert policy["ingress"] == [
        {"from": example()["network"]["clients"], "ports": [{"protocol": "TCP", "port": 8443}]}
    ]
    [port] = containers(rendered)["proxy"]["ports"]
    assert (port["name"], port["containerPort"]) == ("https", 8443)
    assert the(rendered, "Service")["spec"]["ports"][0]["targetPort"] == 8443
    assert "ports" not in containers(rendered)["gateway"]


def test_metrics_are_for_whom_the_values_name(helm: Path, rendered: list[Manifest]) -> None:
    prometheus = {"namespaceSelector": {"matchLabels": {"name": "watching"}}}
    told = json.dumps({"enabled": True, "port": 9464, "clients": [prometheus]})
    watched = render(helm, "--set-json", f"metrics={told}")
    policy = the(watched, "NetworkPolicy")["spec"]
    assert policy["ingress"][1:] == [{"from": [prometheus], "ports": [{"protocol": "TCP", "port": "metrics"}]}]
    gateway = containers(watched)["gateway"]
    assert [(port["name"], port["containerPort"]) for port in gateway["ports"]] == [("metrics", 9464)]
    assert [one["valueFrom"] for one in gateway["env"]] == [{"fieldRef": {"fieldPath": "status.podIP"}}]
    assert "metrics_port: 9464" in mounted(watched, "gateway", "/etc/connect-care/settings.yaml")
    assert "metrics" not in mounted(rendered, "gateway", "/etc/connect-care/settings.yaml")


def test_nobody_is_empty_for_everybody(rendered: list[Manifest]) -> None:
    """A network policy takes an empty list of peers for all of them."""
    policy = the(rendered, "NetworkPolicy")["spec"]
    for rule in [*policy["ingress"], *policy["egress"]]:
        assert rule.get("from", rule.get("to"))
        assert rule["ports"]


def test_a_rolling_update_loses_no_request(rendered: list[Manifest]) -> None:
    spec = the(rendered, "Deployment")["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    ending = example()["ending"]
    assert pod(rendered)["terminationGracePeriodSeconds"] >= ending["drain"] + ending["finish"] + 10
    gateway, proxy = containers(rendered)["gateway"], containers(rendered)["proxy"]
    assert proxy["restartPolicy"] == "Always", "a native sidecar ends after the gateway"
    assert gateway["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8443, "scheme": "HTTPS"}
    noticed = gateway["readinessProbe"]["periodSeconds"] * gateway["readinessProbe"]["failureThreshold"]
    assert noticed < ending["drain"]
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/livez", "a database that is away kills no pod"
    budget = the(rendered, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"] == spec["selector"]["matchLabels"]


def test_the_autoscaler_decides_where_there_is_one(helm: Path, rendered: list[Manifest]) -> None:
    assert "replicas" not in the(rendered, "Deployment")["spec"]
    assert the(rendered, "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 3
    fixed = render(helm, "--set", "autoscaling.enabled=false")
    assert the(fixed, "Deployment")["spec"]["replicas"] == 3
    assert not any(one["kind"] == "HorizontalPodAutoscaler" for one in fixed)


def mounted(manifests: list[Manifest], container: str, place: str) -> str:
    """What of the ConfigMap a container finds there."""
    [mount] = [one for one in containers(manifests)[container]["volumeMounts"] if one["mountPath"] == place]
    return str(the(manifests, "ConfigMap")["data"][mount["subPath"]])


@pytest.fixture
def settings(rendered: list[Manifest], tmp_path: Path) -> Any:
    """The gateway's own reading of what it is given."""
    file = tmp_path / "settings.yaml"
    file.write_text(mounted(rendered, "gateway", "/etc/connect-care/settings.yaml"))
    return load_settings(file)


def test_the_gateway_takes_its_settings(rendered: list[Manifest], settings: Any) -> None:
    assert settings.profile == "production"
    assert settings.drains_for == example()["ending"]["drain"]
    assert settings.finish_seconds == example()["ending"]["finish"]
    assert settings.fair_use.workers == 3
    assert settings.deadline == 4
    served = next(word for word in containers(rendered)["gateway"]["command"] if word.startswith("--socket="))
    assert settings.certificate_proxies == (f"unix:{served.partition('=')[2]}",)
    assert f"server unix:{served.partition('=')[2]} " in mounted(
        rendered, "proxy", "/etc/nginx/connect-care/gateway.conf"
    )
    mounts = tuple(mount["mountPath"] for mount in containers(rendered)["gateway"]["volumeMounts"])
    for file in (settings.key_file, settings.checkpoint_key, settings.database_password_file, settings.data_dir):
        assert str(file).startswith(mounts), file
    assert mounted(rendered, "proxy", "/etc/nginx/connect-care/nginx.conf").strip() == (
        (CHART / "files" / "nginx.conf").read_text().strip()
    )


def test_the_organisations_are_those_of_the_values(rendered: list[Manifest], tmp_path: Path) -> None:
    file = tmp_path / "organisations.yaml"
    file.write_text(mounted(rendered, "gateway", "/etc/connect-care/organisations.yaml"))
    assert read(file) == {"organisations": read(EXAMPLE)["organisations"]}
    [trust] = load_organisations(file).listed()
    assert (trust.ods, str(trust.joined)) == ("RJ2", "2026-11-02")


def test_other_settings_are_other_pods(helm: Path, rendered: list[Manifest]) -> None:
    def configuration(manifests: list[Manifest]) -> Mapping[str, str]:
        return dict(the(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"])

    other = render(helm, "--set", "settings.deadline=5")
    assert configuration(other) != configuration(rendered)
    assert configuration(render(helm)) == configuration(rendered)


@pytest.mark.parametrize("own", ["profile=demo", "certificate_proxies={10.0.0.1}", "drain_seconds=0"])
def test_what_the_chart_says_itself_cant_be_said_past_it(helm: Path, own: str) -> None:
    done = template(helm, "--values", str(EXAMPLE), "--set", f"settings.{own}")
    assert done.returncode != 0
    assert "is the chart's own" in done.stderr
