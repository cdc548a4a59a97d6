"""Sealed ids and cursors: stable, opaque, bound, and not to be made up."""

from __future__ import annotations

import base64
import re
import stat
import string
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sealed import MASTER_KEY_BYTES, SEALED_LENGTH, Sealer, Unsealable, load_master_key, new_master_key
from tests.unit.pipeline import NHS, OTHER, PRACTICE, SEALER, TRUST, nhs_numbers

FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
STRANGER = Sealer(bytes(32))
ODS_CODES = st.text(string.ascii_uppercase + string.digits, min_size=1, max_size=6)
NUMBERS = nhs_numbers()


@given(number=st.sampled_from(NUMBERS), ods=ODS_CODES, kind=st.sampled_from(["Observation", "Patient"]), id_=st.text())
def test_an_id_opens_to_its_patient_and_source_whatever_they_are(number: str, ods: str, kind: str, id_: str) -> None:
    try:
        id_.encode()
    except UnicodeEncodeError:
        id_ = ""
    sealed = SEALER.seal_id(number, ods, kind, id_)
    assert SEALER.open_id(sealed) == (number, ods)
    assert len(sealed) == SEALED_LENGTH == 54
    assert FHIR_ID.fullmatch(sealed)
    assert sealed == Sealer(bytes(range(32))).seal_id(number, ods, kind, id_)


@pytest.mark.parametrize("ods", ["RJ2", "G85005", "709", "08L", "A1", "Z", "0", "000000", "ZZZZZZ", "0A"])
def test_every_shape_of_ods_code_comes_back(ods: str) -> None:
    assert SEALER.open_id(SEALER.seal_id(NHS, ods, "Observation", "1")) == (NHS, ods)


@pytest.mark.parametrize("ods", ["", "G850051", "rj2", "RJ 2", " RJ2", "RJ2 ", "RJ-2", "RJ2\n", "É", "²"])
def test_what_is_no_ods_code_is_refused_rather_than_sealed_as_another(ods: str) -> None:
    with pytest.raises(ValueError, match="ODS code"):
        SEALER.seal_id(NHS, ods, "Observation", "1")


@pytest.mark.parametrize("number", [NHS[:9] + str((int(NHS[9]) + 1) % 10), "9999999999", "", "123", f"{NHS} ", NHS[:9]])
def test_what_is_no_nhs_number_is_refused_rather_than_sealed_as_another(number: str) -> None:
    with pytest.raises(ValueError, match="not an NHS number"):
        SEALER.seal_id(number, TRUST, "Observation", "1")


def test_any_other_character_anywhere_opens_nothing_or_names_another_resource() -> None:
    sealed = SEALER.seal_id(NHS, TRUST, "Observation", "1")
    for place in range(SEALED_LENGTH):
        for character in string.printable:
            forged = sealed[:place] + character + sealed[place + 1 :]
            if forged == sealed:
                continue
            if place > 39 and character in string.ascii_lowercase + "234567":
                # The digest is only compared: another one finds nothing, and the patient's consent is asked as ever.
                assert SEALER.open_id(forged) == (NHS, TRUST)
            else:
                with pytest.raises(Unsealable):
                    SEALER.open_id(forged)


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.title,
        lambda sealed: sealed + "a",
        lambda sealed: sealed[:-1],
        lambda sealed: sealed + "=",
        lambda sealed: sealed + "\n",
        lambda sealed: " " + sealed[1:],
        lambda sealed: sealed.replace(".", "-"),
        lambda sealed: sealed[:39],
        lambda sealed: sealed[40:] + "." + sealed[:39],
        lambda sealed: sealed[:20] + "." + sealed[20:39] + sealed[40:],
        lambda sealed: "",
        lambda sealed: "." * 54,
        lambda sealed: sealed.replace("a", "а"),  # Cyrillic
        lambda sealed: "a" * 39 + sealed[39:],
    ],
)
def test_no_other_spelling_opens(change: object) -> None:
    assert callable(change)
    sealed = next(one for n in range(99) if "a" in (one := SEALER.seal_id(NHS, TRUST, "Observation", str(n)))[:39])
    with pytest.raises(Unsealable):
        SEALER.open_id(change(sealed))


def test_the_spare_bits_of_base32_have_one_spelling() -> None:
    prefix, _, digest = SEALER.seal_id(NHS, TRUST, "Observation", "1").partition(".")
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    same_bytes = [
        prefix[:-1] + character
        for character in alphabet
        if base64.b32decode((prefix[:-1] + character).upper() + "=") == base64.b32decode(prefix.upper() + "=")
    ]
    assert len(same_bytes) == 8
    opened = []
    for spelling in same_bytes:
        try:
            SEALER.open_id(f"{spelling}.{digest}")
            opened.append(spelling)
        except Unsealable:
            continue
    assert opened == [prefix]


def test_another_key_opens_nothing_and_seals_differently() -> None:
    sealed = SEALER.seal_id(NHS, TRUST, "Observation", "1")
    with pytest.raises(Unsealable):
        STRANGER.open_id(sealed)
    with pytest.raises(Unsealable):
        STRANGER.open_patient(SEALER.seal_patient(NHS))
    with pytest.raises(Unsealable):
        STRANGER.open_cursor(SEALER.seal_cursor({"o": 1}, "me"), "me")
    other = STRANGER.seal_id(NHS, TRUST, "Observation", "1")
    assert other[:39] != sealed[:39]
    assert other[40:] != sealed[40:]
    assert STRANGER.patient_tag(NHS) != SEALER.patient_tag(NHS)


def test_a_key_for_one_use_opens_nothing_of_another() -> None:
    with pytest.raises(Unsealable):
        SEALER.open_patient(SEALER.prefix(NHS, TRUST))
    with pytest.raises(Unsealable):
        SEALER.open_cursor(SEALER.seal_patient(NHS), "")


def test_neighbours_share_nothing_so_that_nobody_can_count() -> None:
    """As much as chance: of 39 characters out of 32, one or two; never a common beginning."""
    ids = [SEALER.prefix(number, TRUST) for number in NUMBERS[:200]]
    for one, two in pairwise(ids):
        assert sum(a == b for a, b in zip(one, two, strict=True)) <= 9
        assert one[:4] != two[:4]
    same_patient = [SEALER.prefix(NHS, ods) for ods in ("G85001", "G85002", "G85003")]
    assert len({prefix[:4] for prefix in same_patient}) == 3
    tags = [SEALER.patient_tag(number) for number in NUMBERS[:200]]
    assert len({tag[:6] for tag in tags}) == 200
    assert not any(number in text for number in NUMBERS[:200] for text in [*ids, *tags])


def test_no_digest_stands_for_two_resources() -> None:
    digests = {SEALER.digest(kind, str(n)) for kind in ("Observation", "Condition") for n in range(5_000)}
    assert len(digests) == 10_000


def test_type_and_id_can_not_be_shifted_against_each_other() -> None:
    assert SEALER.digest("Observation", "1") != SEALER.digest("Observatio", "n1")
    assert SEALER.digest("A", "B/1") == SEALER.digest("A", "B/1")


def test_the_memo_of_prefixes_is_bounded() -> None:
    sealer = Sealer(bytes(range(32)))
    for number in NUMBERS[:300]:
        sealer.prefix(number, TRUST)
    info = sealer.prefix.cache_info()
    assert (info.maxsize, info.currsize) == (64, 64)
    sealer.prefix(NUMBERS[299], TRUST)
    assert sealer.prefix.cache_info().hits == info.hits + 1


# --- Patients and cursors --------------------------------------------------------------------------------------------


def test_a_patient_is_sealed_for_the_store_and_tagged_apart() -> None:
    sealed = SEALER.seal_patient(NHS)
    assert SEALER.open_patient(sealed) == NHS
    assert sealed != SEALER.seal_patient(OTHER)
    assert NHS not in sealed
    for forged in (sealed[:-1], sealed.upper(), "", "a", sealed + "a", sealed.replace(sealed[3], "é")):
        with pytest.raises(Unsealable):
            SEALER.open_patient(forged)


_STATES = st.dictionaries(
    st.text(st.characters(codec="utf-8")), st.integers(-(2**53), 2**53) | st.booleans() | st.none()
)


@given(state=_STATES, me=st.text(st.characters(codec="utf-8")), you=st.text(st.characters(codec="utf-8")))
def test_a_cursor_opens_for_its_own_caller_alone(state: dict[str, int | None], me: str, you: str) -> None:
    cursor = SEALER.seal_cursor(state, me)
    assert re.fullmatch(r"[A-Za-z0-9_\-]+", cursor)
    assert SEALER.open_cursor(cursor, me) == state
    if me != you:
        with pytest.raises(Unsealable):
            SEALER.open_cursor(cursor, you)


def test_a_cursor_has_one_spelling() -> None:
    cursor = SEALER.seal_cursor({"patient": NHS, "offset": 20}, "me")
    assert NHS not in cursor
    forged = [
        "",
        "a",
        "=",
        cursor[:-1],
        cursor.swapcase(),
        "é" + cursor[1:],
        f"!{cursor}",
        f"{cursor[:9]}*{cursor[9:]}",
    ]
    forged += [cursor + more for more in ("A", "=", "==", "\n", "!", "-")]
    forged += [
        cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :] for place in range(len(cursor))
    ]
    for one in forged:
        with pytest.raises(Unsealable):
            SEALER.open_cursor(one, "me")


# --- The master key --------------------------------------------------------------------------------------------------


def test_a_new_key_is_its_owners_alone_and_never_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "key"
    new_master_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = load_master_key(path)
    assert len(key) == MASTER_KEY_BYTES
    with pytest.raises(FileExistsError):
        new_master_key(path)
    assert load_master_key(path) == key


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "must hold 32 bytes"),
        (b"00" * 31, "must hold 32 bytes"),
        (b"00" * 33, "must hold 32 bytes"),
        (b"zz" * 32, "isn't hexadecimal"),
        (b"\xff" * 64, "isn't hexadecimal"),
        (None, "can't be read"),
    ],
)
def test_a_wrong_key_file_says_what_to_do(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as raised:
        load_master_key(path)
    assert "connectcare keys new" in str(raised.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o666])
def test_a_key_that_others_can_reach_is_refused_where_it_must_be_closed(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    new_master_key(path)
    assert load_master_key(path, closed=True)
    path.chmod(mode)
    assert load_master_key(path)
    with pytest.raises(ValueError, match=f"chmod 600 {path}"):
        load_master_key(path, closed=True)


def test_a_text_opens_where_it_belongs_and_nowhere_else() -> None:
    sealed = SEALER.seal_text("HIV positive, unconscious", "row-1")
    assert "HIV" not in sealed
    assert SEALER.open_text(sealed, "row-1") == "HIV positive, unconscious"
    assert SEALER.open_text(SEALER.seal_text("", "row-1"), "row-1") == ""
    altered = ("B" if sealed[0] == "A" else "A") + sealed[1:]
    for text, row in ((sealed, "row-2"), (altered, "row-1"), (sealed + "=", "row-1"), ("in clear", "row-1")):
        with pytest.raises(Unsealable):
            SEALER.open_text(text, row)
    with pytest.raises(Unsealable):
        Sealer(bytes(range(32, 64))).open_text(sealed, "row-1")


def test_two_records_of_one_patient_have_the_same_ids() -> None:
    one, two = (Sealer(bytes(range(32))).seal_id(NHS, PRACTICE, "Condition", "7") for _ in range(2))
    assert one == two
