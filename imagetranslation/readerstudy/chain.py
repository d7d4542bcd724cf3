"""The chain of a reader's entries: each holds the SHA-256 of the one before, so that no change goes unnoticed.

One definition for the journal file and the database. An entry is one JSON object on one line; what its kinds mean is
`session`'s matter. The chain proves order and completeness against accident and clumsy change; somebody who rewrites
a whole journal can make a new chain, which is why the last digest is printed by `study status` and worth noting down.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .soundness import canonical

# What every entry has besides its own fields.
SEQUENCE, PREVIOUS, DIGEST = "n", "previous", "sha256"


@dataclass(frozen=True)
class Finding:
    """Something about a journal that a person must know. code: "torn" and "short" (the end was lost, reading goes on),
    "broken" (a chain that does not hold: nothing more is written), "note"."""

    code: str
    text: str


@dataclass(frozen=True)
class History:
    """The sound entries of one reader, oldest first, and what was found. end: bytes of the sound part of a file."""

    reader: str
    entries: tuple[Mapping[str, Any], ...] = ()
    findings: tuple[Finding, ...] = ()
    end: int = 0
    torn: bytes = field(default=b"", repr=False)
    missing: int = 0

    @property
    def broken(self) -> str:
        """The sentence on a broken chain, or ""."""
        return next((f.text for f in self.findings if f.code == "broken"), "")


def first_digest(study: str, manifest_sha256: str, reader: str) -> str:
    """What the first entry of a reader follows: the study, its manifest and the reader."""
    return hashlib.sha256(f"{study}|{manifest_sha256}|{reader}".encode()).hexdigest()


def linked(entry: Mapping[str, Any], number: int, previous: str) -> dict[str, Any]:
    """The entry with its number (from 1), the digest before it and its own: SHA-256 of its canonical JSON without the
    digest itself, which holds the previous one."""
    made = {**entry, SEQUENCE: number, PREVIOUS: previous}
    return {**made, DIGEST: _digest(made)}


def link_fault(entry: Any, number: int, previous: str) -> str:
    """What is wrong with an entry at that place of the chain, in part of a sentence; "" where nothing is."""
    if not isinstance(entry, dict) or not isinstance(entry.get(DIGEST), str):
        return "is no entry"
    body = {key: value for key, value in entry.items() if key != DIGEST}
    try:
        if _digest(body) != entry[DIGEST]:
            return "was changed: its SHA-256 does not fit what it says"
    except (TypeError, ValueError):  # nothing that can be written as JSON
        return "is no entry"
    if entry.get(SEQUENCE) != number:
        return f"has number {entry.get(SEQUENCE)} where {number} is due: entries were removed, added or moved"
    if entry.get(PREVIOUS) != previous:
        return "does not follow the one before it: an entry was replaced, or it belongs to another study or reader"
    return ""


def to_line(entry: Mapping[str, Any]) -> bytes:
    """One line of a journal file: ASCII, so that half of it can never be a whole character."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(body).encode("utf-8")).hexdigest()
