"""Downloading model packages: a list of what there is, and getting one, resumed where it broke off.

A download goes to a hidden part file beside its target, is checked by SHA-256 and renamed. `python -m
imagetranslation.downloads URL SHA256 TARGET` does it as a process of its own, with the worker's JSON lines on stdout.
"""

from __future__ import annotations

import http.client
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import ImageTranslationError, InputError, RunFailed
from .files import make_folder, sha256_of
from .resources import resource, user_folder

LIST = "Models.json"
CHUNK = 1 << 18
TIMEOUT_S = 20


@dataclass(frozen=True)
class Download:
    """One package that can be had. id, task, title: as in its model.json. megabytes: about its size."""

    id: str
    task: str
    title: str
    url: str
    sha256: str
    megabytes: float

    @property
    def target(self) -> Path:
        """Where it is kept: the person's own model folder."""
        return user_folder() / "models" / f"{self.id}.zip"


def available(task: str) -> list[Download]:
    """The packages of a task in Resources/Models.json that are not downloaded yet; none where there is no list."""
    path = resource(LIST)
    if path is None:
        return []
    entries = json.loads(path.read_text(encoding="utf-8"))["models"]
    found = [Download(**entry) for entry in entries if entry["task"] == task]
    return [item for item in found if not item.target.exists()]


def download(url: str, sha256: str, target: str | Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Fetch `url` to `target`; progress(bytes done, bytes in all, 0 while unknown).

    What an earlier attempt left is continued. Raises InputError for an address that is not http(s) or a file that is
    not the listed one (it is deleted), RunFailed when the transfer breaks off (what came is kept for the next time).
    """
    target = Path(target)
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url} is not a web address; only http and https are downloaded.")
    part = make_folder(target.parent) / f".{target.name}.part"
    try:
        _fetch(url, part, progress)
    except (OSError, http.client.HTTPException) as error:
        raise RunFailed(f"{url} could not be downloaded ({error}); try again, it goes on where it stopped.") from error
    if (found := sha256_of(part)) != sha256:
        part.unlink()
        raise InputError(f"{url} gave another file than listed (SHA-256 {found[:12]}...); it was deleted.")
    part.replace(target)
    return target


def _fetch(url: str, part: Path, progress: Callable[[int, int], None] | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is there already; the checksum decides
        raise
    with response:
        # A server that knows no ranges sends everything from the start.
        done = have if response.status == http.client.PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else 0
        with open(part, "ab" if done else "wb") as stream:
            while block := response.read(CHUNK):
                stream.write(block)
                done += len(block)
                if progress is not None:
                    progress(done, total)
    if total and done < total:
        raise http.client.IncompleteRead(b"", total - done)


def main(arguments: list[str]) -> int:
    """Run as a process: URL SHA256 TARGET."""

    def emit(**fields: Any) -> None:
        print(json.dumps(fields), flush=True)

    try:
        url, sha256, target = arguments
        path = download(url, sha256, target, lambda done, total: emit(event="progress", done=done, total=total))
    except ImageTranslationError as error:
        emit(event="error", code=error.code, message=str(error))
        return error.exit_code
    emit(event="result", path=str(path))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
