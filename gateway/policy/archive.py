"""Loading a policy from its archive: what was in force on the day of a decision, years later.

The gateway keeps the archive of its policies by their hash when it starts (`Store.keep_policy`), so a hash in an audit
row is never a name for something that nobody has any more.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import msgspec

from gateway.policy.decide import Policy
from gateway.policy.files import ArchivedFile, PolicyProblem, digest


def open_archive(content: bytes, expected: str) -> Policy:
    """The policy that `archived` made `content` of. Raises PolicyProblem where it isn't the one that the hash
    `expected` names, or isn't an archive: what was altered must not explain anything."""
    files = _files(content, expected)
    with TemporaryDirectory(prefix="connect-care-policy-") as folder:
        inside, extra = Path(folder) / "policies", Path(folder) / "extra"
        further = []
        for place, file in enumerate(files):
            path = extra / f"{place:04d}" / file.name if file.extra else inside / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
            if file.extra:
                further.append(path)
        policy = Policy.load_past(inside, further)
    if policy.hash != expected:
        raise _not_it(expected)
    return policy


def _files(content: bytes, expected: str) -> list[ArchivedFile]:
    try:
        files = msgspec.json.decode(content, type=list[ArchivedFile])
        if digest(content) != expected or not all(_stays_inside(file.name) for file in files):
            raise _not_it(expected)
    except (msgspec.MsgspecError, ValueError, UnicodeError) as error:
        raise _not_it(expected) from error
    return files


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts


def _not_it(expected: str) -> PolicyProblem:
    return PolicyProblem(
        f"The archive of the policies {expected[:12]} isn't what that hash names: it was altered. Verify the store "
        "with connectcare audit verify, and restore the archive from a back-up."
    )
