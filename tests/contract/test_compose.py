"""compose.yaml agrees with itself, with the files beside it, and with the gateway's own settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from connectors.kit import serve
from connectors.sdk.organisations import load_organisations
from deploy import make_secrets
from gateway.settings import load_settings
from tests.contract.deployed import DEPLOY, PROXY_ADDRESS, ROOT, compose, gateway_settings, realm, services

SERVICES = sorted(services())


def mounted(name: str) -> dict[str, Path]:
    """What a service mounts from the checkout, by where it stands inside."""
    found = {}
    for volume in services()[name].get("volumes") or []:
        source, target, *_ = volume.split(":")
        if source.startswith("./"):
            found[target] = ROOT / source
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_whatever_is_mounted_is_there_and_read_only(name: str) -> None:
    for target, file in mounted(name).items():
        assert file.is_file(), f"{name} mounts {file} at {target}"
    assert all(volume.endswith(":ro") for volume in services()[name].get("volumes") or [] if volume.startswith("./"))


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_runs_as_root_or_may_become_it(name: str) -> None:
    service = services()[name]
    assert service["user"].startswith("${RUN_AS:?")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "devices", "pid", "ipc", "network_mode"}
    assert set(service.get("cap_add", [])) <= ({"NET_BIND_SERVICE"} if name == "proxy" else set())


@pytest.mark.parametrize("name", SERVICES)
def test_whoever_waits_for_another_can(name: str) -> None:
    waits = services()[name].get("depends_on") or []
    for other in waits:
        assert other in SERVICES
        if isinstance(waits, dict) and waits[other]["condition"] == "service_healthy":
            assert "test" in services()[other]["healthcheck"]


@pytest.mark.parametrize("name", [one for one in SERVICES if one not in ("hapi", "patients")])
def test_every_lasting_service_says_whether_it_is_well(name: str) -> None:
    assert services()[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_secrets_are_those_that_one_command_makes(tmp_path: Path) -> None:
    made = make_secrets.make(tmp_path / "secrets", tmp_path / ".env")
    declared = {name: secret["file"] for name, secret in compose()["secrets"].items()}
    assert declared == {name: f"./secrets/{name}" for name in declared}
    assert set(declared) <= {file.name for file in made}
    used = {name for service in services().values() for name in service.get("secrets") or []}
    assert used == set(declared)


def test_no_secret_stands_in_an_environment() -> None:
    for name, service in services().items():
        for variable in service.get("environment") or {}:
            assert not re.search(r"PASSWORD(?!_FILE)|SECRET|TOKEN", variable), f"{name}: {variable}"


def test_whatever_a_service_reads_from_secrets_it_is_given() -> None:
    texts = {
        "proxy": (DEPLOY / "proxy" / "Caddyfile").read_text(),
        "keycloak": (DEPLOY / "keycloak" / "start.sh").read_text(),
        "database": (DEPLOY / "postgresql" / "keycloak.sh").read_text(),
        "gateway": (DEPLOY / "gateway" / "settings.yaml").read_text(),
    }
    for name, text in texts.items():
        wanted = set(re.findall(r"/run/secrets/([a-z_]+)", text + str(services()[name].get("environment"))))
        assert wanted == set(services()[name]["secrets"]), name


def test_only_the_proxy_is_reached_from_outside_and_from_this_machine_alone() -> None:
    assert [name for name in SERVICES if services()[name].get("ports")] == ["proxy"]
    assert services()["proxy"]["ports"] == ["127.0.0.1:8443:8443"]
    networks = compose()["networks"]
    assert {name for name, network in networks.items() if not network.get("internal")} == {"outside"}
    assert [name for name in SERVICES if "outside" in services()[name]["networks"]] == ["proxy"]


def test_who_calls_whom_shares_a_network() -> None:
    for one, other in [
        ("proxy", "gateway"),
        ("proxy", "keycloak"),
        ("gateway", "database"),
        ("gateway", "hapi"),
        ("gateway", "sandboxes"),
        ("keycloak", "database"),
        ("keycloak", "gateway"),
        ("patients", "hapi"),
    ]:
        assert set(services()[one]["networks"]) & set(services()[other]["networks"]), (one, other)
    assert not set(services()["hapi"]["networks"]) & set(services()["keycloak"]["networks"])


def test_the_gateway_accepts_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CONNECTCARE_")]:
        monkeypatch.delenv(name)
    settings = load_settings(mounted("gateway")["/etc/connect-care/settings.yaml"])
    assert settings.sender_constraint == "required"
    assert settings.certificate_proxies == (PROXY_ADDRESS,)
    assert settings.log_origin == make_secrets.LOG_NAME
    assert "--workers=${WORKERS:-2}" in services()["gateway"]["command"]
    (issuer,) = settings.issuers
    hostname = services()["keycloak"]["environment"]["KC_HOSTNAME"]
    assert issuer.issuer == f"{hostname}/realms/{realm()['realm']}"
    assert issuer.named_at_logout == {client["clientId"] for client in realm()["clients"]}


def test_the_gateway_reaches_every_organisation_where_its_system_is() -> None:
    register = serve.standing_in(load_organisations(make_secrets.ROOT / "connectors" / "organisations.yaml"))
    command = services()["sandboxes"]["command"]
    assert {"--host=sandboxes", "--first-port=9000"} <= set(command)
    running, _ = serve.prepare(register, canaries=False)
    for one in running:
        one.listener.close()
    bases = [getattr(one.app, "base_path", "/fhir") for one in running]
    expected = {one.ods: f"http://sandboxes:{9000 + at}{bases[at]}" for at, one in enumerate(running)}
    assert gateway_settings()["addresses"] == {**expected, "RJ2": "http://hapi:8080/fhir"}
    assert services()["patients"]["command"][-3:-1] == ["RJ2", "http://hapi:8080/fhir"]


def test_names_lead_to_the_proxy_and_are_in_its_certificate() -> None:
    proxy, gateway = services()["proxy"], services()["gateway"]
    assert proxy["networks"]["front"]["ipv4_address"] == PROXY_ADDRESS
    login = urlsplit(services()["keycloak"]["environment"]["KC_HOSTNAME"])
    assert gateway["extra_hosts"] == [f"{login.hostname}:{PROXY_ADDRESS}"]
    assert services()["keycloak"]["environment"]["KC_PROXY_TRUSTED_ADDRESSES"] == PROXY_ADDRESS
    public = urlsplit(gateway_settings()["public_url"])
    assert (public.hostname, public.port) == (make_secrets.HOST, login.port)
    assert str(login.hostname).partition(".")[2] == make_secrets.HOST, "the certificate's wildcard covers it"
    sites = (DEPLOY / "proxy" / "Caddyfile").read_text()
    assert f"https://{public.netloc} {{" in sites
    assert f"https://{login.netloc} {{" in sites


def test_no_image_and_no_file_names_a_registry() -> None:
    images = [service["image"] for service in services().values()]
    for file in DEPLOY.rglob("Dockerfile"):
        images += re.findall(r"^ARG \w+_IMAGE=(\S+)", file.read_text(), re.MULTILINE)
    for image in images:
        named = image.partition(":-")[2].removesuffix("}") or image
        assert "." not in named.partition("/")[0].partition(":")[0], image
        assert not named.endswith((":latest", "/")), image
        assert ":" in named, image


def test_what_the_images_copy_is_in_the_checkout() -> None:
    for line in (DEPLOY / "gateway" / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), line


@pytest.mark.parametrize("script", sorted(DEPLOY.rglob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_ones_that_bash_can_read(script: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    subprocess.run([bash, "-n", str(script)], check=True)
    assert script.read_text().startswith("#!/bin/bash\n")
