#!/usr/bin/env python3
# ruff: noqa: T201 (what it finds is printed, and nothing else here runs it)
"""Check an access report of Connect Care, with nothing of Connect Care: python3 verify-report.py REPORT.json KEY.pub

It needs Python 3.11 and the package `cryptography`. It shows that the rows in the report are all that the signed log
holds about this patient, and unaltered, and prints each with its time, what it is, and who did it, so that you can hold
them against the report's lines. KEY.pub is the log's public key, one line, from a place that you trust.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NOTHING = bytes(32)


class DoesNotHold(Exception):
    """The report isn't what the log holds. The text says where it fails."""


def must(holds, why):
    if not holds:
        raise DoesNotHold(why)


def unbase64(text):
    data = base64.b64decode(text, validate=True)
    must(base64.b64encode(data).decode() == text, "base64 in another spelling")
    return data


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def signed_checkpoint(note, key_line):
    """The lines of a note (https://c2sp.org/signed-note) that the key signed: size, map root and time."""
    name, key_id, encoded = key_line.strip().split("+", 2)
    key = unbase64(encoded)
    expected = sha256(f"{name}\n".encode(), key)[:4]
    must(key[:1] == b"\x01" and len(key) == 33 and expected.hex() == key_id, "the key isn't an Ed25519 key")
    text, signatures = note.rsplit("\n\n", 1)
    lines = [line.split(" ") for line in signatures.splitlines()]
    ours = [unbase64(line[2]) for line in lines if line[:2] == ["—", name] and unbase64(line[2])[:4] == expected]
    must(len(ours) == 1, "the checkpoint isn't signed by this key")
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(ours[0][4:], f"{text}\n".encode())
    origin, size, _root, map_line, at_line, *_before = text.split("\n")
    must(origin == name and map_line.startswith("map ") and at_line.startswith("at "), "that isn't a checkpoint")
    return int(size), unbase64(map_line[4:]), at_line[3:]


def commitment(row):
    """What the log committed to; an erased row has nothing else."""
    if "commitment" in row:
        return unbase64(row["commitment"])
    return hmac.digest(unbase64(row["salt"]), unbase64(row["row"]), "sha256")


def chain_head(rows, tag):
    """The leaves (RFC 6962) of the patient's rows, chained in order."""
    head, last = NOTHING, 0
    for number, row in enumerate(rows, 1):
        must(row["seq"] > last, "the rows aren't in order")
        must("commitment" in row or json.loads(unbase64(row["row"]))["patient"] == tag.hex(), "another patient's row")
        leaf = sha256(b"\x00", struct.pack(">BQ32sQ32s", 1, row["seq"], tag, number, commitment(row)))
        head, last = sha256(b"\x02", head, leaf), row["seq"]
    return head


def map_root(tag, count, head, proof):
    """The root of the patients' map, if it says that the patient has so many rows with this head."""
    hashes, empty = unbase64(proof["hashes"]), sha256(b"\x12")
    others = [hashes[start : start + 32] for start in range(0, len(hashes), 32)]
    must(len(others) == proof["path"].count("1") and len(proof["path"]) <= 256, "the map's proof has a wrong length")
    siblings = [others.pop(0) if digit == "1" else empty for digit in proof["path"]]
    bits = [tag[depth >> 3] >> (7 - (depth & 7)) & 1 for depth in range(256)]
    node = empty
    if count:
        must("other" not in proof, "the map's proof shows another patient")
        node = sha256(b"\x10", tag, sha256(b"\x13", struct.pack(">Q", count), head))
    elif "other" in proof:  # nobody looked: where the patient would be, another one is
        other = unbase64(proof["other"])
        theirs = [other[depth >> 3] >> (7 - (depth & 7)) & 1 for depth in range(len(siblings))]
        must(len(other) == 64 and other[:32] != tag and theirs == bits[: len(siblings)], "the other isn't in the way")
        node = sha256(b"\x10", other)
    for depth in reversed(range(len(siblings))):
        pair = (siblings[depth], node) if bits[depth] else (node, siblings[depth])
        node = sha256(b"\x11", *pair)
    return node


def check(report, key_line):
    """The time up to which the report is complete, its count, and its rows. Raises where it doesn't hold."""
    proof, tag = report["proof"], bytes.fromhex(report["patient"]["tag"])
    size, root, at = signed_checkpoint(proof["note"], key_line)
    count, rows = proof["count"], proof["rows"]
    must(len(tag) == 32 and 0 <= count <= len(rows), "the report holds fewer rows than it counts")
    must(all((row["seq"] <= size) == (place < count) for place, row in enumerate(rows)), "a row beyond the checkpoint")
    head = chain_head(rows[:count], tag)
    must(map_root(tag, count, head, proof["map"]) == root, "these aren't all of the patient's rows, or not the right")
    return at, count, rows


def show(number, row):
    if "commitment" in row:
        return f"{number:>5}  erased"
    said = json.loads(unbase64(row["row"]))
    who = said.get("who") or {}
    line = f"{number:>5}  {said['at']}  {said['kind']:<20} {who.get('name', '')}, {who.get('organisation_name', '')}"
    return "".join(character if character.isprintable() else "?" for character in line)


def main(report_file, key_file):
    with open(report_file, encoding="utf-8") as report, open(key_file, encoding="utf-8") as key:
        shown, key_line = json.load(report), key.read()
    try:
        at, count, rows = check(shown, key_line)
    except InvalidSignature:
        sys.exit("This report does NOT hold: its checkpoint isn't what the key signed.")
    except (DoesNotHold, ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error) as error:
        sys.exit(f"This report does NOT hold: {error}.")
    print(*(show(number, row) for number, row in enumerate(rows[:count], 1)), sep="\n")
    nobody = "nobody else looked" if count else "nobody looked"
    print(f"These {count} rows are all that the log holds about this patient up to {at}; {nobody}.")
    if len(rows) > count:
        print(f"{len(rows) - count} more rows came later, and are not proven yet.")
    erased = sum("commitment" in row for row in rows[:count])
    if erased:
        print(f"{erased} of them were erased. Whether they were old enough, connectcare audit check-report says.")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
