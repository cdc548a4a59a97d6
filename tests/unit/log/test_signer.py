"""The signer: it signs one history, whoever asks, whoever else signs with its memory, and whenever it's killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.audit.log import signer as signer_module
from gateway.audit.log.checkpoint import Checkpoint, NotSigned, SigningKey, open_note
from gateway.audit.log.notary import Notary
from gateway.audit.log.signer import (
    LocalSigner,
    NoSignature,
    Signer,
    SignerAhead,
    SignerClient,
    SignerRefused,
    SignerUnavailable,
    serve,
    sign_extending,
)
from gateway.audit.log.tree import EMPTY_ROOT, consistency_proof
from tests.unit.log import naive

ORIGIN = "care.example.org/journal"
KEY = SigningKey(ORIGIN, bytes(range(32)))
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEAVES = naive.leaf_hashes(40)
FORKED = [LEAVES[0], naive.sha256(b"another row"), *LEAVES[2:]]


def checkpoint_of(size: int, leaves: Sequence[bytes] = LEAVES, *, of: str = "map", minutes: int = 0) -> Checkpoint:
    map_root = naive.sha256(of.encode(), str(size).encode())
    return Checkpoint(ORIGIN, size, naive.tree_root(leaves[:size]), map_root, NOON + timedelta(minutes=minutes))


async def proof_between(old: int, new: int, leaves: Sequence[bytes] = LEAVES) -> tuple[bytes, ...]:
    return await consistency_proof(old, new, naive.range_hash_of(leaves))


async def listens(where: Path) -> None:
    """Wait for somebody to listen there."""
    for _ in range(10_000):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_unix_connection(where)
            writer.close()
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"nobody listens at {where}")


@asynccontextmanager
async def served(folder: Path, key: SigningKey = KEY) -> AsyncIterator[SignerClient]:
    """A signer that listens, and its client."""
    where = folder / "signer.sock"
    task = asyncio.create_task(serve(key, folder / "signed", where))
    try:
        await listens(where)
        yield SignerClient(where, KEY.public)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[LocalSigner]:
    yield LocalSigner(KEY, folder / "signed")


@asynccontextmanager
async def forgetful(_folder: Path) -> AsyncIterator[LocalSigner]:
    yield LocalSigner(KEY)


@pytest.fixture(params=[served, local, forgetful], ids=["behind a socket", "in the worker", "without a file"])
async def any_signer(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Signer]:
    async with request.param(tmp_path) as signer:
        yield signer


async def test_it_signs_a_log_that_grows(any_signer: Signer) -> None:
    assert await any_signer.last() is None
    for size in (0, 1, 5, 8, 8, 40):
        wanted = checkpoint_of(size) if size else Checkpoint(ORIGIN, 0, EMPTY_ROOT, bytes(32), NOON)
        note = await sign_extending(any_signer, wanted, naive.range_hash_of(LEAVES))
        assert open_note(note, any_signer.public) == wanted == await any_signer.last()


async def test_the_first_log_that_it_signs_may_have_any_size_and_needs_no_proof(any_signer: Signer) -> None:
    with pytest.raises(SignerRefused, match="isn't shown to extend"):
        await any_signer.sign(checkpoint_of(7), await proof_between(3, 7))
    assert open_note(await any_signer.sign(checkpoint_of(7), ()), KEY.public) == checkpoint_of(7)


async def test_no_other_history_is_signed(any_signer: Signer) -> None:
    await any_signer.sign(checkpoint_of(5), ())
    forked = await proof_between(5, 9, FORKED)
    for wrong, proof in (
        (checkpoint_of(9, FORKED), forked),
        (checkpoint_of(9, FORKED), await proof_between(5, 9)),
        (checkpoint_of(9, FORKED), ()),
        (checkpoint_of(9), ()),
        (checkpoint_of(9), forked),
        (checkpoint_of(9), await proof_between(4, 9)),
        (checkpoint_of(9), [bytes(31)]),
        (checkpoint_of(5, FORKED), ()),
        (checkpoint_of(4), ()),
        (Checkpoint(ORIGIN, 0, EMPTY_ROOT, bytes(32), NOON), ()),
        (checkpoint_of(5, of="another map"), ()),
    ):
        with pytest.raises(SignerRefused):
            await any_signer.sign(wrong, proof)
    assert await any_signer.last() == checkpoint_of(5)
    await any_signer.sign(checkpoint_of(9), await proof_between(5, 9))


async def test_a_refusal_says_why(any_signer: Signer) -> None:
    await any_signer.sign(checkpoint_of(5), ())
    with pytest.raises(SignerRefused, match="Another log of 5 rows was signed already"):
        await any_signer.sign(checkpoint_of(5, FORKED), ())
    with pytest.raises(SignerRefused, match="Another patients' map was signed already for the same 5 rows"):
        await any_signer.sign(checkpoint_of(5, of="another map"), ())
    with pytest.raises(SignerRefused, match="had 5 rows when it was last signed, and has 4 now"):
        await any_signer.sign(checkpoint_of(4), ())
    with pytest.raises(SignerAhead, match="had 5 rows when it was last signed, and this checkpoint has 4") as ahead:
        await sign_extending(any_signer, checkpoint_of(4), naive.range_hash_of(LEAVES))
    assert ahead.value.size == 5
    with pytest.raises(SignerRefused, match=r"signs for care\.example\.org/journal alone"):
        await any_signer.sign(Checkpoint("other", 6, bytes(32), bytes(32), NOON), ())


async def test_an_empty_log_has_one_root(any_signer: Signer) -> None:
    with pytest.raises(SignerRefused):
        await any_signer.sign(Checkpoint(ORIGIN, 0, bytes(32), bytes(32), NOON), ())


async def test_the_same_rows_get_the_same_note_again(any_signer: Signer) -> None:
    note = await any_signer.sign(checkpoint_of(5), ())
    later = checkpoint_of(5, minutes=3)
    assert await any_signer.sign(later, ()) == note
    assert await sign_extending(any_signer, later, naive.range_hash_of(LEAVES)) == note


async def test_the_same_rows_after_another_kept_checkpoint_get_a_note_that_says_so(any_signer: Signer) -> None:
    await any_signer.sign(checkpoint_of(5), ())
    follows = replace(checkpoint_of(5, minutes=3), before=2)
    assert open_note(await any_signer.sign(follows, ()), KEY.public) == follows == await any_signer.last()
    with pytest.raises(SignerRefused, match="Another patients' map"):
        await any_signer.sign(replace(checkpoint_of(5, of="another map"), before=3), ())


async def test_of_many_who_ask_at_once_no_two_get_different_histories(any_signer: Signer) -> None:
    async def ask(size: int, leaves: Sequence[bytes]) -> str | None:
        with contextlib.suppress(NoSignature):
            return await sign_extending(any_signer, checkpoint_of(size, leaves), naive.range_hash_of(leaves))
        return None

    sizes = [4 + number // 2 for number in range(14)]
    answers = await asyncio.gather(*(ask(size, (LEAVES, FORKED)[turn % 2]) for turn, size in enumerate(sizes)))
    signed = {(each.size, each.root) for note in answers if note for each in [open_note(note, KEY.public)]}
    assert signed
    assert any(signed <= {(size, naive.tree_root(each[:size])) for size in sizes} for each in (LEAVES, FORKED))


class Hurried:
    """Always somebody else's checkpoint is signed between the question what was last and the answer."""

    def __init__(self, signer: Signer, others: list[int]) -> None:
        self.public = signer.public
        self._signer, self._others = signer, others

    async def last(self) -> Checkpoint | None:
        last = await self._signer.last()
        if self._others:
            size = self._others.pop(0)
            await self._signer.sign(checkpoint_of(size), await proof_between(last.size if last else 0, size))
        return last

    async def sign(self, checkpoint: Checkpoint, proof: Sequence[bytes]) -> str:
        return await self._signer.sign(checkpoint, proof)


async def test_who_is_overtaken_while_asking_asks_again(any_signer: Signer) -> None:
    range_hash = naive.range_hash_of(LEAVES)
    note = await sign_extending(Hurried(any_signer, [3, 5, 6]), checkpoint_of(9), range_hash)
    assert open_note(note, KEY.public) == checkpoint_of(9)
    with pytest.raises(SignerAhead):
        await sign_extending(Hurried(any_signer, [11, 13]), checkpoint_of(12), range_hash)
    with pytest.raises(SignerUnavailable, match="all the time"):
        await sign_extending(Hurried(any_signer, [*range(14, 30)]), checkpoint_of(40), range_hash)


async def test_it_remembers_over_a_restart(tmp_path: Path) -> None:
    for kind in (served, local, served):
        async with kind(tmp_path) as signer:
            await sign_extending(signer, checkpoint_of(5), naive.range_hash_of(LEAVES))
            with pytest.raises(SignerRefused):
                await signer.sign(checkpoint_of(5, FORKED), ())
    assert stat.S_IMODE((tmp_path / "signed").stat().st_mode) == 0o600


async def test_two_with_one_memory_sign_one_history(tmp_path: Path) -> None:
    first, second = (LocalSigner(KEY, tmp_path / "signed") for _ in range(2))
    await first.sign(checkpoint_of(5), ())
    with pytest.raises(SignerRefused):
        await second.sign(checkpoint_of(6, FORKED), await proof_between(5, 6, FORKED))
    await second.sign(checkpoint_of(6), await proof_between(5, 6))
    assert await first.last() == checkpoint_of(6)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\xfe", KEY.sign(checkpoint_of(5)).encode()[:-9]])
async def test_a_memory_that_cannot_be_believed_stops_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "signed").write_bytes(content)
    with pytest.raises(SignerUnavailable, match="What the signer remembers"):
        await LocalSigner(KEY, tmp_path / "signed").sign(checkpoint_of(5), ())
    with pytest.raises(SignerUnavailable, match="What the signer remembers"):
        await serve(KEY, tmp_path / "signed", tmp_path / "signer.sock")
    assert not (tmp_path / "signer.sock").exists()


async def test_another_keys_memory_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "signed").write_text(SigningKey(ORIGIN, bytes(32)).sign(checkpoint_of(5)))
    with pytest.raises(SignerUnavailable, match="isn't what this key signed"):
        await LocalSigner(KEY, tmp_path / "signed").last()


@pytest.mark.parametrize("removed", [True, False], ids=["removed", "put back"])
async def test_a_memory_that_is_turned_back_while_it_runs_stops_it(tmp_path: Path, removed: bool) -> None:
    signer, file = LocalSigner(KEY, tmp_path / "signed"), tmp_path / "signed"
    older = await signer.sign(checkpoint_of(3), ())
    await signer.sign(checkpoint_of(5), await proof_between(3, 5))
    if removed:
        file.unlink()
    else:
        file.write_text(older)
    with pytest.raises(SignerUnavailable, match="older state"):
        await signer.sign(checkpoint_of(5, FORKED), ())


async def test_what_cannot_be_remembered_is_not_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = LocalSigner(KEY, tmp_path / "signed")
    await signer.sign(checkpoint_of(3), ())

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(SignerUnavailable, match="can't be written: No space left"):
            await signer.sign(checkpoint_of(5), await proof_between(3, 5))
    assert await signer.last() == checkpoint_of(3)
    await signer.sign(checkpoint_of(5), await proof_between(3, 5))


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SignerUnavailable, match="can't be locked: No such file"):
        await LocalSigner(KEY, tmp_path / "none" / "signed").last()
    (tmp_path / "signed").mkdir()
    with pytest.raises(SignerUnavailable, match="can't be read: Is a directory"):
        await LocalSigner(KEY, tmp_path / "signed").last()


DIES = """
import os, signal, sys
from pathlib import Path
import asyncio
from gateway.audit.log import notary, signer
from gateway.audit.log.checkpoint import SigningKey

def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

folder, when = Path(sys.argv[1]), sys.argv[2]
if when == "before":
    os.replace = die
elif when == "between":
    replace = os.replace
    os.replace = lambda *names: (replace(*names), die())
elif when == "after":
    sign = notary.Notary.sign
    notary.Notary.sign = lambda *asked: (sign(*asked), die())
asyncio.run(signer.serve(SigningKey.load(folder / "key"), folder / "signed", folder / "signer.sock"))
"""


@pytest.fixture
def dying(tmp_path: Path, when: str) -> Iterator[subprocess.Popen[bytes]]:
    """A signer in a process of its own, that kills itself at the moment `when` of the first signature."""
    KEY.save(tmp_path / "key")
    process = subprocess.Popen([sys.executable, "-c", DIES, str(tmp_path), when])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(("when", "remembered"), [("before", 3), ("between", 5), ("after", 5)])
async def test_killed_between_writing_and_answering_it_answers_the_same_afterwards(
    tmp_path: Path, dying: subprocess.Popen[bytes], remembered: int
) -> None:
    await LocalSigner(KEY, tmp_path / "signed").sign(checkpoint_of(3), ())
    where, proof = tmp_path / "signer.sock", await proof_between(3, 5)
    await listens(where)
    with pytest.raises(SignerUnavailable, match="doesn't answer"):
        await SignerClient(where, KEY.public).sign(checkpoint_of(5), proof)
    assert dying.wait() == -signal.SIGKILL
    assert where.exists()
    async with served(tmp_path) as signer:
        assert await signer.last() == checkpoint_of(remembered)
        with pytest.raises(SignerRefused):
            await sign_extending(signer, checkpoint_of(5, FORKED), naive.range_hash_of(FORKED))
        assert open_note(await signer.sign(checkpoint_of(5), proof), KEY.public) == checkpoint_of(5)
        await sign_extending(signer, checkpoint_of(9), naive.range_hash_of(LEAVES))


async def test_the_socket_is_its_owners_alone_and_goes_with_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    os.umask(before)
    async with served(tmp_path):
        assert stat.S_IMODE((tmp_path / "signer.sock").stat().st_mode) == 0o600
    assert not (tmp_path / "signer.sock").exists()
    task = asyncio.create_task(serve(KEY, tmp_path / "signed", tmp_path / "signer.sock", group_may_ask=True))
    await listens(tmp_path / "signer.sock")
    assert stat.S_IMODE((tmp_path / "signer.sock").stat().st_mode) == 0o660
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert os.umask(before) == before


async def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    async with served(tmp_path) as first:
        with pytest.raises(SignerUnavailable, match="Another signer listens"):
            await serve(KEY, tmp_path / "signed", tmp_path / "signer.sock")
        assert await first.last() is None
    (tmp_path / "words").write_text("keep me")
    with pytest.raises(SignerUnavailable, match="isn't a socket"):
        await serve(KEY, tmp_path / "signed", tmp_path / "words")
    assert (tmp_path / "words").read_text() == "keep me"
    with pytest.raises(SignerUnavailable, match="can't listen"):
        await serve(KEY, tmp_path / "signed", tmp_path / ("long" * 40))


async def asked(where: Path, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(where)
    writer.write(sent)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
        writer.write_eof()
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def question(**parts: object) -> bytes:
    return json.dumps({"ask": "sign", "checkpoint": checkpoint_of(5).body(), **parts}).encode() + b"\n"


HOSTILE = {
    "no JSON": b"hello\n",
    "not text": b"\xff\xfe\n",
    "not text in JSON": b'{"ask":"sign","checkpoint":"\xff","proof":[]}\n',
    "another question": b'{"ask":"key"}\n',
    "no question": b"{}\n",
    "a list": b"[]\n",
    "more than asked for": b'{"ask":"last","key":true}\n',
    "no proof": question(),
    "a proof of numbers": question(proof=[1]),
    "an endless proof": question(proof=[""] * 65),
    "no checkpoint": question(checkpoint="pay 100", proof=[]),
    "half a character": b'{"ask":"sign","checkpoint":"\\ud800","proof":[]}\n',
    "a deep pit": b'{"x":' + b"[" * 30_000 + b"\n",
    "too much": b'{"ask":"' + b"a" * 100_000 + b"\n",
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_cannot_be_read_is_refused_and_changes_nothing(tmp_path: Path, sent: bytes) -> None:
    async with served(tmp_path) as client:
        answer = await asked(tmp_path / "signer.sock", sent)
        assert json.loads(answer)["refused"].startswith("The signer can't read the question")
        assert await client.last() is None
    assert not (tmp_path / "signed").exists()


async def test_who_says_nothing_or_half_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(tmp_path) as client:
        assert await asked(tmp_path / "signer.sock", b'{"ask":"la') == b""
        monkeypatch.setattr(signer_module, "PATIENCE", 0.01)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "signer.sock")
        assert await reader.read() == b""
        writer.close()
        monkeypatch.undo()
        assert await client.last() is None


async def test_more_than_it_can_serve_are_turned_away_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(tmp_path) as client:
        monkeypatch.setattr(signer_module, "MOST_AT_ONCE", 1)
        _, waiting = await asyncio.open_unix_connection(tmp_path / "signer.sock")
        with pytest.raises(SignerUnavailable, match="doesn't answer"):
            await client.last()
        waiting.close()


@asynccontextmanager
async def impostor(folder: Path, answer: bytes) -> AsyncIterator[SignerClient]:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(say, folder / "impostor.sock"):
        yield SignerClient(folder / "impostor.sock", KEY.public)


def noted(note: str) -> bytes:
    return json.dumps({"note": note}).encode() + b"\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "doesn't answer"),
        (b"half", "doesn't answer"),
        (b"no JSON\n", "isn't a signer"),
        (b'{"x":' + b"[" * 30_000 + b"\n", "isn't a signer"),
        (b'{"note":"\xff"}\n', "isn't a signer"),
        (b"x" * 100_000 + b"\n", "doesn't answer"),
        (b"{}\n", "another key"),
        (noted(""), "another key"),
        (noted(SigningKey(ORIGIN, bytes(32)).sign(checkpoint_of(5))), "another key"),
        (noted(KEY.sign(checkpoint_of(4))), "another checkpoint"),
        (noted(KEY.sign(checkpoint_of(5, FORKED))), "another checkpoint"),
        (noted(KEY.sign(checkpoint_of(5, of="another map"))), "another checkpoint"),
        (b'{"unavailable":"The disk is full"}\n', "The disk is full"),
    ],
    ids=range(13),
)
async def test_the_client_believes_only_the_pinned_key(tmp_path: Path, answer: bytes, said: str) -> None:
    async with impostor(tmp_path, answer) as client:
        with pytest.raises(SignerUnavailable, match=said):
            await client.sign(checkpoint_of(5), ())


async def test_the_client_doesnt_wait_for_ever(tmp_path: Path) -> None:
    where = tmp_path / "deaf.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf:
        deaf.bind(os.fspath(where))
        deaf.listen()
        with pytest.raises(SignerUnavailable, match="doesn't answer"):
            await SignerClient(where, KEY.public, patience=0.05).last()
    with pytest.raises(SignerUnavailable, match="Is it running"):
        await SignerClient(tmp_path / "none.sock", KEY.public).last()


async def test_what_the_signer_cannot_remember_reaches_the_client_as_such(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        await client.sign(checkpoint_of(5), ())
        (tmp_path / "signed").unlink()
        with pytest.raises(SignerUnavailable, match="older state"):
            await client.last()


def test_a_notary_without_a_file_checks_its_own_memory_too() -> None:
    notary = Notary(KEY, None)
    assert notary.last() is None
    note = notary.sign(checkpoint_of(5), ())
    assert notary.last() == note
    with pytest.raises(NotSigned):
        open_note(note.replace("5", "6", 1), KEY.public)
