"""deploy/production/compose.yaml: a small production, of pinned images, with nothing of the demonstration's."""

from __future__ import annotations

import re

import pytest

from gateway.settings import Settings
from tests.contract.deployed import DEPLOY, production

SERVICES = production()["services"]
FILE = DEPLOY / "production" / "compose.yaml"
IMAGES = {name: f"{name}@sha256:{'0' * 64}" for name in ("CONNECTCARE_IMAGE", "POSTGRES_IMAGE", "PROXY_IMAGE")}
FOLDERS = dict.fromkeys(("CONNECTCARE_ETC", "CONNECTCARE_SECRETS", "CONNECTCARE_AUDIT"), "/nowhere")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nothing_runs_as_root_or_without_bounds(name: str) -> None:
    service = SERVICES[name]
    assert service["user"].startswith("${RUN_AS:?")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert not service.keys() & {"privileged", "devices", "pid", "ipc", "network_mode", "cap_add", "build"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_an_image_that_nobody_named_is_not_guessed(name: str) -> None:
    assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:\?name it by digest\}", SERVICES[name]["image"])


def test_no_secret_stands_in_an_environment() -> None:
    for service in SERVICES.values():
        for variable in service.get("environment") or {}:
            assert not re.search(r"PASSWORD(?!_FILE)|SECRET|TOKEN|KEY", variable), variable


def test_only_the_proxy_is_reached_and_only_the_gateway_reaches_the_database() -> None:
    assert [name for name in SERVICES if SERVICES[name].get("ports")] == ["proxy"]
    assert [name for name in sorted(SERVICES) if "store" in SERVICES[name]["networks"]] == ["database", "gateway"]
    assert SERVICES["database"]["networks"] == ["store"]
    assert production()["networks"]["store"]["internal"] is True


def test_the_proxy_reaches_the_gateway_through_a_socket_alone() -> None:
    served = next(word for word in SERVICES["gateway"]["command"] if word.startswith("--socket="))
    place = served.partition("=")[2]
    assert f"server unix:{place} " in (DEPLOY / "proxy" / "gateway.socket.conf").read_text()
    assert [name for name in sorted(SERVICES) if "gateway:/run/gateway" in SERVICES[name]["volumes"]] == [
        "gateway",
        "proxy",
    ]
    for volume in SERVICES["proxy"]["volumes"]:
        source = volume.partition(":")[0]
        assert not source.startswith(".") or (FILE.parent / source).is_file()


def test_what_it_tells_to_set_are_settings() -> None:
    """The lines of the comment that are indented are a part of settings.yaml, or of .env."""
    text = FILE.read_text()
    told = re.findall(r"^#   ([a-z_]+): ", text, re.MULTILINE)
    assert {"database", "key_file", "certificate_proxies", "audit_sink"} <= set(told) <= set(Settings.model_fields)
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    assert asked == set(re.findall(r"^#   ([A-Z_]+)=", text, re.MULTILINE))
    assert asked == {"RUN_AS", *IMAGES, *FOLDERS}
