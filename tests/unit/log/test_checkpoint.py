"""Checkpoints, signed notes and their keys: one spelling, and nothing believed that the pinned key didn't sign."""

from __future__ import annotations

import random
from base64 import b64decode, b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.log.checkpoint import Checkpoint, NotACheckpoint, NotSigned, PublicKey, SigningKey, open_note
from gateway.audit.log.note import MOST_NOTE, is_origin

ORIGIN = "care.example.org/journal"
KEY = SigningKey(ORIGIN, bytes(range(32)))
OTHER = SigningKey("witness.example.org", bytes(32))
CHECKPOINT = Checkpoint(ORIGIN, 1234, b"\x01" * 32, b"\xfe" * 32, datetime(2026, 11, 22, 9, 8, 7, 6, UTC))
NOTE = KEY.sign(CHECKPOINT)

# The example of Go's golang.org/x/mod/sumdb/note.
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


@dataclass
class Said:
    origin: str
    text: str

    def body(self) -> str:
        return self.text


def key_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_text_is_the_one_of_the_specification() -> None:
    assert CHECKPOINT.body() == (
        f"{ORIGIN}\n1234\nAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
        "map /v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v4=\nat 2026-11-22T09:08:07.000006Z\n"
    )
    text, signature = NOTE.split("\n\n")
    assert text + "\n" == CHECKPOINT.body()
    assert signature.startswith(f"— {ORIGIN} ")
    assert open_note(NOTE, KEY.public) == CHECKPOINT


def test_a_checkpoint_can_name_the_one_before_it() -> None:
    follows = replace(CHECKPOINT, before=1200)
    assert follows.body() == CHECKPOINT.body() + "before 1200\n"
    assert Checkpoint.parse(follows.body()) == follows == open_note(KEY.sign(follows), KEY.public)


def test_keys_and_notes_are_those_of_go(tmp_path: Path) -> None:
    key = SigningKey.load(key_file(tmp_path, GO_PRIVATE + "\n"))
    assert str(key.public) == GO_PUBLIC
    assert key.sign(Said("PeterNeumann", GO_TEXT)) == GO_NOTE
    assert PublicKey.parse(GO_PUBLIC).open(GO_NOTE) == GO_TEXT


def test_what_is_signed_but_no_checkpoint_is_not_believed() -> None:
    with pytest.raises(NotACheckpoint):
        open_note(GO_NOTE, PublicKey.parse(GO_PUBLIC))
    stranger = replace(CHECKPOINT, origin="another.example.org").body()
    with pytest.raises(NotSigned, match=r"of another\.example\.org"):
        open_note(KEY.sign(Said(ORIGIN, stranger)), KEY.public)


@given(
    size=st.integers(0, 2**63 - 1),
    roots=st.tuples(*[st.binary(min_size=32, max_size=32)] * 2),
    at=st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),  # noqa: DTZ001
    hours=st.integers(-12, 14),
)
def test_every_checkpoint_comes_back(size: int, roots: tuple[bytes, bytes], at: datetime, hours: int) -> None:
    checkpoint = Checkpoint(ORIGIN, size, *roots, at.replace(tzinfo=timezone(timedelta(hours=hours))))
    assert Checkpoint.parse(checkpoint.body()) == checkpoint
    assert Checkpoint.parse(checkpoint.body()).body() == checkpoint.body()


BODY = CHECKPOINT.body()
ROOT = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
WRONG_BODIES = {
    "nothing": "",
    "no newline at the end": BODY[:-1],
    "a newline too many": BODY + "\n",
    "a line too many": BODY + "more\n",
    "no map": "\n".join(line for line in BODY.split("\n") if not line.startswith("map")),
    "the extensions in the other order": "\n".join([*BODY.split("\n")[:3], *reversed(BODY.split("\n")[3:5]), ""]),
    "no name": BODY.removeprefix(ORIGIN),
    "a name with a space": BODY.replace(ORIGIN, "care example"),
    "a name with a plus": BODY.replace(ORIGIN, "care+example"),
    "a name with a zero byte": BODY.replace(ORIGIN, "care\x00example"),
    "an endless name": BODY.replace(ORIGIN, "a" * 201),
    "a leading zero": BODY.replace("1234", "01234"),
    "a sign": BODY.replace("1234", "+1234"),
    "less than nothing": BODY.replace("1234", "-1"),
    "digits of another script": BODY.replace("1234", "١٢٣٤"),
    "more rows than 63 bits": BODY.replace("1234", str(2**63)),
    "a short root": BODY.replace(ROOT, "AQEBAQ=="),
    "bits after the root": BODY.replace(ROOT, ROOT[:-2] + "F="),
    "base64 for addresses": BODY.replace("/v7+", "_v7-"),
    "a space before the root": BODY.replace(ROOT, " " + ROOT),
    "carriage returns": BODY.replace("\n", "\r\n"),
    "a month too many": BODY.replace("2026-11", "2026-13"),
    "a second too many": BODY.replace(":07.", ":60."),
    "no fraction": BODY.replace(".000006Z", "Z"),
    "an offset": BODY.replace("Z\n", "+00:00\n"),
    "before nothing": BODY + "before 0\n",
    "before with a leading zero": BODY + "before 01\n",
    "before itself": BODY + "before 1234\n",
    "before twice": BODY + "before 1\nbefore 1\n",
    "before in another place": BODY.replace("map", "before 1\nmap"),
}


@pytest.mark.parametrize("body", WRONG_BODIES.values(), ids=WRONG_BODIES.keys())
def test_other_spellings_are_no_checkpoint(body: str) -> None:
    assert body != BODY
    with pytest.raises(NotACheckpoint):
        Checkpoint.parse(body)
    with pytest.raises(NotSigned):
        open_note(KEY.sign(Said(ORIGIN, body)), KEY.public)


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "a b"},
        {"origin": ""},
        {"size": -1},
        {"size": 2**63},
        {"before": -1},
        {"before": 1234},
        {"root": bytes(31)},
        {"map_root": b""},
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001
    ],
    ids=str,
)
def test_values_that_no_checkpoint_has(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"name|size|time|smaller"):
        replace(CHECKPOINT, **wrong)  # type: ignore[arg-type]


def test_other_signatures_beside_ours_are_passed_over() -> None:
    line = NOTE.rpartition("\n\n")[2]
    others = OTHER.sign(Said(OTHER.origin, CHECKPOINT.body())).rpartition("\n\n")[2]
    same_name = SigningKey(ORIGIN, b"\x07" * 32).sign(CHECKPOINT).rpartition("\n\n")[2]
    for lines in ([others, line], [line, others], [same_name, line, others]):
        note = f"{CHECKPOINT.body()}\n{''.join(lines)}"
        assert open_note(note, KEY.public) == CHECKPOINT
    with pytest.raises(NotSigned, match="has 0 signatures"):
        open_note(f"{CHECKPOINT.body()}\n{others}{same_name}", KEY.public)
    with pytest.raises(NotSigned, match="has 2 signatures"):
        open_note(f"{CHECKPOINT.body()}\n{line}{line}", KEY.public)


def test_a_signature_of_the_same_id_by_another_key_is_not_ours() -> None:
    """The id has 32 bits: somebody can find a key that has ours."""
    forged = SigningKey(ORIGIN, b"\x07" * 32).sign(replace(CHECKPOINT, size=9))
    text, signature = forged.rpartition("\n\n")[0], forged.split(" ")[-1].strip()
    decoded = PublicKey(ORIGIN, KEY.public.key).id + b64decode(signature)[4:]
    line = f"— {ORIGIN} {b64encode(decoded).decode()}\n"
    with pytest.raises(NotSigned, match="altered"):
        open_note(f"{text}\n\n{line}", KEY.public)


WRONG_NOTES = {
    "nothing": "",
    "no signature": CHECKPOINT.body(),
    "an empty line at the end": CHECKPOINT.body() + "\n",
    "no newline at the end": NOTE[:-1],
    "an empty line too many": NOTE + "\n",
    "words after the signature": NOTE + "believe me\n",
    "a hyphen for the dash": NOTE.replace("— ", "- "),
    "two spaces": NOTE.replace("— ", "—  "),
    "a tab": NOTE.replace(f"{ORIGIN} ", f"{ORIGIN}\t"),
    "base64 that isn't": NOTE[:-3] + "*=\n",
    "an id without a signature": f"{CHECKPOINT.body()}\n— {ORIGIN} {'AAAAAA=='}\n",
    "carriage returns": NOTE.replace("\n", "\r\n"),
    "half a character": NOTE.replace("1234", "\ud800"),
    "too much": CHECKPOINT.body() + "\n" + NOTE.rpartition("\n\n")[2] * (MOST_NOTE // 100),
}


@pytest.mark.parametrize("note", WRONG_NOTES.values(), ids=WRONG_NOTES.keys())
def test_notes_that_are_not_believed(note: str) -> None:
    with pytest.raises(NotSigned):
        open_note(note, KEY.public)


def test_every_altered_character_of_a_note_is_caught() -> None:
    chance = random.Random(8)
    for place in range(len(NOTE)):
        kept = NOTE[:place], NOTE[place + 1 :]
        instead = [chr(ord(NOTE[place]) ^ 1), chance.choice("0A+/=\n —é"), "", NOTE[place] * 2]
        for each in instead:
            worse = kept[0] + each + kept[1]
            if worse != NOTE:
                with pytest.raises(NotSigned):
                    open_note(worse, KEY.public)


def test_a_key_is_pinned_in_one_spelling() -> None:
    text = str(KEY.public)
    assert PublicKey.parse(text + "\n") == KEY.public
    for first in range(len(text)):
        for last in range(first + 1, len(text) + 1):
            if (first, last) != (0, len(text)):
                with pytest.raises(ValueError, match="checkpoints' key"):
                    PublicKey.parse(text[first:last])
    for place in range(len(text)):
        with pytest.raises(ValueError, match="checkpoints' key"):
            PublicKey.parse(text[:place] + chr(ord(text[place]) + 1) + text[place + 1 :])


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="checkpoints' key"):
        PublicKey.parse("rekor.sigstore.dev+c0d23d6a+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNhtmPtrWm3U1eQXBogSMdGvXwBc")
    with pytest.raises(ValueError, match="32 bytes"):
        PublicKey("care", bytes(31))


def test_a_new_key_is_kept_where_only_its_owner_reads_it(tmp_path: Path) -> None:
    key, path = SigningKey.new(ORIGIN), tmp_path / "key"
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path) == key != SigningKey.new(ORIGIN)
    with pytest.raises(FileExistsError):
        SigningKey.new(ORIGIN).save(path)
    assert SigningKey.load(path) == key


def test_the_secret_is_not_shown() -> None:
    assert "seed" not in repr(KEY)
    assert str(KEY.seed) not in repr(KEY)


@pytest.mark.parametrize(
    "text",
    ["", GO_PUBLIC, GO_PRIVATE[:-1], GO_PRIVATE.replace("c74f20a3", "c74f20a4"), GO_PRIVATE.replace("+AY", "+BY")],
)
def test_a_file_that_is_no_signing_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="That isn't the signing key") as refused:
        SigningKey.load(key_file(tmp_path, text))
    assert "AYEKFALV" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ValueError, match="chmod 600"):
        SigningKey.load(key_file(tmp_path, GO_PRIVATE, mode))


def test_a_key_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        SigningKey.load(tmp_path / "none")
    path = key_file(tmp_path, "")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="signing key"):
        SigningKey.load(path)


def test_a_key_signs_for_its_own_log_alone() -> None:
    with pytest.raises(ValueError, match="doesn't sign for"):
        OTHER.sign(CHECKPOINT)
    with pytest.raises(ValueError, match="no spaces"):
        SigningKey.new("my log")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\u2028b", "a" * 201, "a\x7f"])
def test_names_that_no_log_has(name: str) -> None:
    assert not is_origin(name)
