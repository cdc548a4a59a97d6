"""The native kernel reads what the Python reads: the same values in the same order, the same findings and errors."""

from __future__ import annotations

import json
import random
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sdk import kernel, shape, tables
from connectors.sdk.bundle import read_bundle, read_object, read_resource
from connectors.sdk.errors import SourceError
from connectors.sdk.shape import BrokenShape
from tests.bench.payload import bundles
from tests.unit.readers import needs_kernel
from tests.unit.test_sdk_bundle import OBSERVATION, bundle

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
FILES = sorted(
    file
    for folder in (ROOT / "connectors", ROOT / "tests", SHARED)
    for file in folder.rglob("*.json")
    if file.stat().st_size < 4_000_000
)
READERS: tuple[Callable[[bytes], Any], ...] = (read_bundle, read_resource, read_object)


@pytest.fixture(autouse=True)
def _the_usual_reader_afterwards() -> Iterator[None]:
    yield
    kernel.choose("auto")


def seen(read: Callable[[bytes], Any], body: bytes, reader: kernel.Choice) -> str:
    """All of what a reader makes of a body, types, digits and the order of members too; or its error."""
    kernel.choose(reader)
    try:
        return repr(read(body))
    except (SourceError, BrokenShape) as error:
        return repr(error)


def assert_alike(body: bytes) -> None:
    for read in READERS:
        assert seen(read, body, "native") == seen(read, body, "python")


def native() -> kernel.Reader:
    kernel.choose("native")
    reader = kernel.reader()
    assert reader is not None
    return reader


@needs_kernel
def test_every_saved_payload_is_read_alike() -> None:
    assert len(FILES) > 50
    for file in FILES:
        assert_alike(file.read_bytes())


@needs_kernel
def test_what_is_well_the_kernel_reads_by_itself() -> None:
    """Otherwise the reference would read everything, and all of this would compare it with itself."""
    for body in bundles("RJ2", 100).values():
        assert native().bundle(body, 5000) is not None
        assert_alike(body)
    for value in ("0.10", "-7", "1e3", '"\\u00e9\\ud83d\\ude00\\n"', "[null, true]", '{"unheard": {"of": ["x:y"]}}'):
        body = json.dumps(OBSERVATION).encode()[:-1] + b', "unknown": %s}' % value.encode()
        assert native().resource(body) is not None
        assert_alike(body)


@needs_kernel
@pytest.mark.parametrize(
    "spoilt",
    [
        b'{"resourceType":"Patient","id":"1","id":"2"}',
        b'{"resourceType":"Patient","id":"1","name":[{"family":"a","family":"a"}]}',
        b'{"resourceType":"Patient","id":"1","n\\u0061me":[]}',
        b'{"resourceType":"Patient","id":""}',
        b'{"resourceType":"Patient","id":7}',
        b'{"resourceType":"Patient","id":"1","gender":null}',
        b'{"resourceType":"Patient","id":"1","multipleBirthInteger":1.0}',
        b'{"resourceType":"Patient","id":"1","multipleBirthInteger":1,"multipleBirthBoolean":true}',
        b'{"resourceType":"Observation","id":"1","code":{}}',
        b'{"resourceType":"Observation","id":"1","status":"final","code":{},"valueQuantity":{"value":"4.50"}}',
        b'{"resourceType":"Patient","id":"1","x":100000000000000000000}',
        b'{"resourceType":"Patient","id":"1","x":1e401}',
        b'{"resourceType":"Patient","id":"1","x":01}',
        b'{"resourceType":"Patient","id":"1","x":-0}',
        b'{"resourceType":"Patient","id":"1","x":"\\ud800"}',
        b'{"resourceType":"Patient","id":"1"} x',
        b'{"resourceType":"Patient","id":"1","x":' + b"[" * 64 + b"]" * 64 + b"}",
        b'{"id":"1"}',
        b"[]",
        b"",
    ],
)
def test_what_is_not_well_is_left_to_the_reference(spoilt: bytes) -> None:
    assert native().resource(spoilt) is None
    for body in (spoilt, b'{"resourceType":"Bundle","entry":[{"resource":%s}]}' % spoilt):
        assert_alike(body)


@needs_kernel
def test_bounds_of_a_bundle() -> None:
    body = bundle(OBSERVATION, OBSERVATION)
    assert native().bundle(body, 2) is not None
    assert native().bundle(body, 1) is None
    assert native().object(b'{"a":' * 64 + b"1" + b"}" * 64) is not None
    assert native().object(b'{"a":' * 65 + b"1" + b"}" * 65) is None
    assert_alike(b'{"a":' * 64 + b"1" + b"}" * 64)


@needs_kernel
def test_a_type_that_does_not_come_first_is_checked_all_the_same() -> None:
    late = {name: value for name, value in OBSERVATION.items() if name != "resourceType"}
    for body in ({**late, "resourceType": "Observation"}, {"contained": [], "resourceType": "Patient", "id": "1"}):
        assert native().resource(json.dumps(body).encode()) is not None
        assert_alike(bundle(body))
    assert native().resource(json.dumps({"id": "1", "resourceType": "Observation"}).encode()) is None


@needs_kernel
def test_findings_come_in_the_order_of_the_walk() -> None:
    deep = {"extension": [{"valueReference": {"reference": "Device/deep"}}], "reference": "Device/high"}
    labelled = {"security": [{"system": "s", "code": "R"}, {"code": 7}, "x"]}
    body = {
        **OBSERVATION,
        "resourceType": "Basic",
        "meta": labelled,
        "device": deep,
        "performer": [{"reference": "Practitioner/1"}, {"type": "Patient", "display": "x"}, {"type": ["Patient"]}],
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": 9990000018, "code": "c"}],
        "contained": [{"resourceType": "Basic", "id": "b", "meta": labelled, "type": "Patient"}],
    }
    assert_alike(bundle(body))
    found = native().resource(json.dumps(body).encode())
    assert found is not None
    assert [node["reference"] for node in found[1].references] == [
        "Patient/p1",
        "Device/high",
        "Practitioner/1",
        "Device/deep",
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["reference", "type", "system", "code", "value", "id", "extension", "status", "x"]), inner
        )
    ),
    max_leaves=12,
)


@needs_kernel
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["Observation", "Patient", "Basic"]), VALUES, VALUES)
def test_any_json_is_read_alike(kind: str, one: object, other: object) -> None:
    assert_alike(bundle({**OBSERVATION, "resourceType": kind, "x": one}, {"resourceType": kind, "id": other, "y": one}))


def spoil(body: bytes, chance: random.Random) -> bytes:
    """One or two things go wrong on the way: a byte lost, another in its place, a piece twice."""
    spoilt = bytearray(body)
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(spoilt))
        length = chance.randint(1, 12)
        match chance.randrange(3):
            case 0:
                del spoilt[at : at + length]
            case 1:
                spoilt[at] = chance.choice(b'"\\{}[]:,0-.eu \n\xff')
            case _:
                spoilt[at:at] = spoilt[at : at + length]
    return bytes(spoilt)


@needs_kernel
@pytest.mark.parametrize("rounds", [400, pytest.param(40_000, marks=pytest.mark.slow)])
def test_a_body_with_faults_is_read_alike(rounds: int) -> None:
    chance = random.Random(rounds)
    patient = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-01-31", "name": [{"family": "O’Neil"}]}
    body = bundle(patient, {**OBSERVATION, "note": [{"text": 'a "b" \\ \u00e9'}]}, total=2)
    for _ in range(rounds):
        spoilt = spoil(body, chance)
        assert seen(read_bundle, spoilt, "native") == seen(read_bundle, spoilt, "python"), spoilt


@needs_kernel
def test_it_can_be_chosen() -> None:
    assert kernel.choose("python") == "python"
    assert kernel.reader() is None
    assert kernel.choose("auto") == kernel.choose("native") == "native"


def test_without_it_the_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "is_built", lambda: False)
    assert kernel.choose("auto") == "python"
    assert len(read_bundle(bundle(OBSERVATION)).entries) == 1
    with pytest.raises(kernel.NoKernel, match="make kernel"):
        kernel.choose("native")


def test_a_type_that_tables_have_no_word_for_is_told() -> None:
    made = tables.Tables()
    with pytest.raises(ValueError, match="no table has a word for"):
        made.kind(bytes, shape.NO_RULE)


# ---- how it is built ----


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = spec_from_file_location("build_kernel", ROOT / "kernel" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pinned_lock_names_no_registry_and_every_crate_has_a_hash(build: ModuleType) -> None:
    pinned = (ROOT / "kernel" / "crates.lock").read_text()
    assert "source = " not in pinned
    crates = tomllib.loads(build.with_sources(pinned, 'name = "x"\nsource = "registry+there"\n'))["package"]
    assert [crate["name"] for crate in crates if "checksum" not in crate] == ["connect_care_kernel"]
    assert all(crate["source"] == "registry+there" for crate in crates if "checksum" in crate)


def test_a_kernel_that_does_not_build_is_said_and_fails_nothing(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> str:
        raise subprocess.CalledProcessError(101, ["cargo"])

    monkeypatch.setattr(build, "_resolved", fails)
    monkeypatch.setattr(build.shutil, "which", lambda _: "/somewhere/cargo")
    monkeypatch.setattr(build.sys, "argv", ["build.py"])
    build.main()
    assert "in Python" in capsys.readouterr().out


def test_without_cargo_nothing_is_built(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build.shutil, "which", lambda _: None)
    monkeypatch.setattr(build.sys, "argv", ["build.py"])
    build.main()
    assert "no cargo here" in capsys.readouterr().out
