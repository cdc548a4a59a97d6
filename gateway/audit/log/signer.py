"""The key that signs checkpoints, in a process of its own or in the worker's: either way asked in the same words.

`serve` holds the key behind a Unix socket that only its owner can open, and `SignerClient` asks it. Whoever takes over
a worker can then have the log's true continuation signed, and nothing else. Where the signer runs as another user, the
worker can't read the key either: `group_may_ask` opens the socket, and nothing else, to the group of the folder.

A connection is one question and one answer, each a line of JSON:

    {"ask":"last"}                                                -> {"note": "..." or null}
    {"ask":"sign","checkpoint":"...","proof":["base64", ...]}     -> {"note": "..."} or {"refused":"a sentence"}
                                                                     or {"unavailable":"a sentence"}
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Protocol, TypeAlias

import msgspec

from gateway.audit.log.checkpoint import Checkpoint, NotACheckpoint, NotSigned, PublicKey, SigningKey, open_note
from gateway.audit.log.notary import NoSignature, Notary, SignerRefused, SignerUnavailable
from gateway.audit.log.tree import RangeHash, consistency_proof
from gateway.audit.log.unix_socket import listening

__all__ = [
    "LocalSigner",
    "NoSignature",
    "Signer",
    "SignerAhead",
    "SignerClient",
    "SignerRefused",
    "SignerUnavailable",
    "serve",
    "sign_extending",
]

MOST_LINE: Final = 32_768
"""Bytes of a question or an answer. The longest proof, of 64 hashes, has 3,100."""
MOST_AT_ONCE: Final = 16
"""Connections; more are closed at once."""
PATIENCE: Final = 5.0
"""Seconds for a whole question and its answer, on either side."""
_TRIES: Final = 10


class Signer(Protocol):
    """Whoever signs checkpoints."""

    @property
    def public(self) -> PublicKey:
        """The key that its notes are verified with."""
        ...

    async def last(self) -> Checkpoint | None:
        """What it signed last. Raises `NoSignature`."""
        ...

    async def sign(self, checkpoint: Checkpoint, proof: Sequence[bytes]) -> str:
        """The note. Where it had signed the same rows before it's that earlier note, with its time. `proof` is the
        consistency proof from `last`, and empty where there is none. Raises `NoSignature`."""
        ...


class SignerAhead(SignerRefused):
    """The signer has signed `size` rows already, which is more. Where the log holds as many by now, another worker was
    first: make a greater checkpoint. Where it doesn't, rows are gone."""

    def __init__(self, size: int, wanted: int) -> None:
        super().__init__(f"The log had {size} rows when it was last signed, and this checkpoint has {wanted}")
        self.size = size


async def sign_extending(signer: Signer, checkpoint: Checkpoint, range_hash: RangeHash) -> str:
    """Have a checkpoint signed, with the proof that it extends what the signer signed last. Where another worker's is
    signed in between, the proof is made anew. Raises `NoSignature`, and of that `SignerAhead`."""
    last = await signer.last()
    for _ in range(_TRIES):
        size = 0 if last is None else last.size
        if size > checkpoint.size:
            raise SignerAhead(size, checkpoint.size)
        proof = await consistency_proof(size, checkpoint.size, range_hash)
        try:
            return await signer.sign(checkpoint, proof)
        except SignerRefused:
            before, last = last, await signer.last()
            if last == before:
                raise
    raise SignerUnavailable("The signer signs for others all the time")


class LocalSigner:
    """The key in the worker itself. With a `state_file`, which workers of one machine share, it won't sign a fork even
    after a restart; without one it remembers for as long as it lives."""

    def __init__(self, key: SigningKey, state_file: Path | None = None) -> None:
        self.public = key.public
        self._notary = Notary(key, state_file)

    async def last(self) -> Checkpoint | None:
        """What it signed last. Raises `NoSignature`."""
        note = await asyncio.to_thread(self._notary.last)
        return None if note is None else open_note(note, self.public)

    async def sign(self, checkpoint: Checkpoint, proof: Sequence[bytes]) -> str:
        """The note. Raises `NoSignature`."""
        return await asyncio.to_thread(self._notary.sign, checkpoint, proof)


class _Last(msgspec.Struct, tag_field="ask", tag="last", forbid_unknown_fields=True):
    pass


class _Sign(msgspec.Struct, tag_field="ask", tag="sign", forbid_unknown_fields=True):
    checkpoint: str
    proof: Annotated[Sequence[bytes], msgspec.Meta(max_length=64)]


class _Answer(msgspec.Struct, omit_defaults=True):
    note: str | None = None
    refused: str | None = None
    unavailable: str | None = None


_Question: TypeAlias = _Last | _Sign
_question: Final = msgspec.json.Decoder(_Last | _Sign)
_answer: Final = msgspec.json.Decoder(_Answer)
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class SignerClient:
    """Asks the signer behind a socket, and believes nothing that the pinned key didn't sign."""

    def __init__(self, socket_path: Path, public: PublicKey, *, patience: float = PATIENCE) -> None:
        self.public = public
        self._path = socket_path
        self._patience = patience

    async def last(self) -> Checkpoint | None:
        """What it signed last. Raises `NoSignature`."""
        note = await self._ask(_Last())
        return None if note is None else self._opened(note)

    async def sign(self, checkpoint: Checkpoint, proof: Sequence[bytes]) -> str:
        """The note. Raises `NoSignature`."""
        note = await self._ask(_Sign(checkpoint.body(), proof)) or ""
        signed = self._opened(note)
        if replace(signed, at=checkpoint.at) != checkpoint:
            raise SignerUnavailable("The signer answered with another checkpoint than was asked for")
        return note

    async def _ask(self, question: _Question) -> str | None:
        try:
            async with asyncio.timeout(self._patience):
                answer = _answer.decode(await self._exchange(msgspec.json.encode(question) + b"\n"))
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise SignerUnavailable(f"The signer at {self._path} doesn't answer. Is it running?") from error
        except _UNREADABLE as error:
            raise SignerUnavailable(f"What answers at {self._path} isn't a signer") from error
        if answer.refused is not None:
            raise SignerRefused(answer.refused)
        if answer.unavailable is not None:
            raise SignerUnavailable(answer.unavailable)
        return answer.note

    async def _exchange(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=MOST_LINE)
        try:
            writer.write(line)
            await writer.drain()
            return await reader.readuntil()
        finally:
            writer.close()

    def _opened(self, note: str) -> Checkpoint:
        try:
            return open_note(note, self.public)
        except NotSigned as error:
            raise SignerUnavailable(
                f"The signer has another key than the pinned one of {self.public.origin}"
            ) from error


async def serve(key: SigningKey, state_file: Path, socket_path: Path, *, group_may_ask: bool = False) -> None:
    """Sign what is asked through the socket, until cancelled. Raises `SignerUnavailable` where it can't begin."""
    notary = Notary(key, state_file)
    await asyncio.to_thread(notary.last)
    desk = _Desk(notary)
    with listening(socket_path, 0o660 if group_may_ask else 0o600) as sock:
        async with await asyncio.start_unix_server(desk.attend, sock=sock, limit=MOST_LINE) as server:
            await server.serve_forever()


class _Desk:
    """The signer's side of a connection."""

    def __init__(self, notary: Notary) -> None:
        self._notary = notary
        self._open = 0

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One question and its answer. Whoever is slow, or asks what can't be read, is left."""
        self._open += 1
        try:
            if self._open <= MOST_AT_ONCE:
                async with asyncio.timeout(PATIENCE):
                    await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answered(await reader.readuntil())
        except SignerRefused as refused:
            answer = _Answer(refused=str(refused))
        except NoSignature as unavailable:
            answer = _Answer(unavailable=str(unavailable))
        except (*_UNREADABLE, NotACheckpoint, asyncio.LimitOverrunError) as error:
            answer = _Answer(refused=f"The signer can't read the question. {error}")
        writer.write(msgspec.json.encode(answer) + b"\n")
        await writer.drain()

    async def _answered(self, line: bytes) -> _Answer:
        question = _question.decode(line)
        if isinstance(question, _Last):
            return _Answer(note=await asyncio.to_thread(self._notary.last))
        checkpoint = Checkpoint.parse(question.checkpoint)
        return _Answer(note=await asyncio.to_thread(self._notary.sign, checkpoint, question.proof))
