"""The public example scans: what they are, and downloading them once, checked by SHA-256.

`Resources/SampleData.json` lists them; the Slicer modules register the same list with Slicer's Sample Data.
"""

from __future__ import annotations

import http.client
import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError
from .files import atomic_path, make_folder, sha256_of
from .resources import resource, user_folder

TIMEOUT_S = 20


@dataclass(frozen=True)
class Sample:
    """One public file. task: task id. role: "source" or "reference". licence and citation: what its owners ask for."""

    name: str
    task: str
    role: str
    file: str
    url: str
    sha256: str
    licence: str
    citation: str


def samples(task: str = "us2mri") -> list[Sample]:
    """The listed samples of a task, in order; InputError when the list is missing."""
    path = resource("SampleData.json")
    if path is None:
        raise InputError("Resources/SampleData.json is missing; install the whole package, or give a volume yourself.")
    entries = json.loads(path.read_text(encoding="utf-8"))["samples"]
    return [Sample(**entry) for entry in entries if entry["task"] == task]


def fetch(sample: Sample) -> Path:
    """The sample's file in the person's data folder, downloaded if it isn't there yet.

    Raises OSError when it cannot be downloaded, InputError when what arrives is not the file that is listed.
    """
    path = make_folder(user_folder() / "samples") / sample.file
    if path.is_file() and sha256_of(path) == sample.sha256:
        return path
    try:
        with urllib.request.urlopen(sample.url, timeout=TIMEOUT_S) as response:
            data = response.read()
    except http.client.HTTPException as error:
        raise OSError(f"the transfer broke off: {type(error).__name__}") from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
        if (found := sha256_of(temporary)) != sample.sha256:
            raise InputError(f"{sample.url} gave another file than expected (SHA-256 {found[:12]}...); it is not used.")
    return path
