"""The gateway's image as its Dockerfile makes it: there is no engine here to build it."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest

from tests.contract.deployed import DEPLOY, ROOT

DOCKERFILE = DEPLOY / "gateway" / "Dockerfile"
INSTRUCTION = re.compile(r"^([A-Z]+) (.*)$")


def instructions() -> list[tuple[str, str]]:
    """Each with what it is given, continued lines joined, comments left out."""
    text = "\n".join(line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#"))
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    return [(found[1], found[2]) for line in joined.splitlines() if (found := INSTRUCTION.match(line))]


def last_stage() -> list[tuple[str, str]]:
    """What the image is made of in the end."""
    found = instructions()
    begins = max(place for place, (word, _) in enumerate(found) if word == "FROM")
    return found[begins:]


def test_every_stage_is_of_an_image_that_can_be_pinned() -> None:
    declared = {rest.partition("=")[0] for word, rest in instructions() if word == "ARG"}
    assert declared == {"PYTHON_IMAGE", "COMPILER_IMAGE", "RUST_IMAGE"}
    used = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert {name.strip("${}") for name in used} == declared


def test_what_is_compiled_in_one_image_runs_in_the_other() -> None:
    tags = [rest.partition(":")[2] for word, rest in instructions() if word == "ARG"]
    assert all(tag.endswith("-bookworm") for tag in tags)
    python = [rest.partition("=")[2] for word, rest in instructions() if word == "ARG" and "=python:" in rest]
    assert {image.removeprefix("python:")[:4] for image in python} == {"3.11"}


def test_the_image_holds_the_gateway_and_no_more() -> None:
    words = [word for word, _ in last_stage()]
    assert words == ["FROM", "COPY", "ENV", "USER", "STOPSIGNAL", "EXPOSE", "CMD"], "nothing is run in it"
    assert ("COPY", "--from=build /opt/connect-care /opt/connect-care") in last_stage()
    removed = next(rest for word, rest in instructions() if word == "RUN" and "pip uninstall" in rest)
    for tool in ("maturin", "hatchling", "editables", "setuptools", "pip"):
        assert f" {tool}" in removed.partition("pip uninstall")[2]


def test_it_runs_as_nobody_and_needs_no_shell() -> None:
    given = dict(last_stage())
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", given["USER"]), "a number: Kubernetes can tell that it isn't root"
    assert given["CMD"].startswith("[")
    assert given["STOPSIGNAL"] == "SIGTERM"


def test_an_image_without_the_native_kernel_is_not_made() -> None:
    runs = [rest for word, rest in instructions() if word == "RUN"]
    assert any(run.endswith('python kernel/build.py && python -c "import connect_care_kernel"') for run in runs)


def test_everything_is_installed_by_hash() -> None:
    for word, rest in instructions():
        for command in re.findall(r"pip install [^&]*", rest) if word == "RUN" else []:
            assert "--require-hashes -r" in command or command.strip().endswith("--no-build-isolation --no-deps .")


@pytest.mark.parametrize(
    "secret", ["secrets/master_key", ".env", ".git/config", ".venv/bin/python", "deploy/production"]
)
def test_no_secret_gets_into_a_build(secret: str) -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*", "everything is left out but what is named"
    assert not any(fnmatch(secret, f"{rule.removeprefix('!')}*") for rule in rules if rule.startswith("!"))


def test_a_build_is_given_what_it_copies() -> None:
    rules = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            assert set(rest.split()[:-1]) <= rules
