"""Which cases a cohort has, and which of them are done: by what is recorded and by the files that are there.

A case is done when every file recorded for it is there with its SHA-256 and its input is the one that was translated:
of the same size and time, or, where those differ (a copied folder), of the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..deviationmaps import map_path
from ..errors import ImageTranslationError, InputError
from ..files import printable_name, remove_leftovers, sha256_of
from ..formats import sidecar_of, stem_of, suffix_of
from ..headers import inspect
from .journal import Entry

# What ITK puts the voxels of a .nhdr or .mhd header into.
_DATA_SUFFIXES = (".raw", ".raw.gz", ".zraw")
_READERS = 4


@dataclass(frozen=True)
class Fingerprint:
    """Bytes and latest change (ns since 1970) of the files an input consists of, and the SHA-256 of what is in them.

    For one file that is its SHA-256; for several, that of a list of their names and digests.
    """

    bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Case:
    """One input of a cohort. number: its place in the list. output: absolute path. replace: whether what lies there is
    a damaged result of this cohort, which may be replaced although nothing in it says that it is synthetic."""

    number: int
    input: Path
    output: Path
    replace: bool = False


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of an input; InputError where its files cannot be read."""
    files = _files_of_input(path)
    size, mtime = size_and_time(path, files)
    try:
        digests = [sha256_of(file) for file in files]
    except OSError as error:
        raise InputError(f"{printable_name(path)} cannot be read: {error.strerror}.") from error
    if len(files) == 1:
        return Fingerprint(size, mtime, digests[0])
    base = path if path.is_dir() else path.parent
    lines = [f"{os.path.relpath(file, base)}\n{digest}\n" for file, digest in zip(files, digests)]
    return Fingerprint(size, mtime, hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest())


def size_and_time(path: Path, files: list[Path] | None = None) -> tuple[int, int]:
    """Bytes and time of the latest change of an input's files; InputError where they cannot be looked at."""
    try:
        states = [file.stat() for file in (_files_of_input(path) if files is None else files)]
    except OSError as error:
        raise InputError(f"{printable_name(path)} cannot be read: {error.strerror}.") from error
    return sum(state.st_size for state in states), max((state.st_mtime_ns for state in states), default=0)


def written_files(output: Path) -> list[Path]:
    """The files that belong to a result: image, record beside it, detached voxels, and maps that go with it."""
    suffix, found = suffix_of(output), []
    for image in (output, map_path(output)):
        if image.is_file():
            detached = [image.with_name(f"{stem_of(image)}{data}") for data in _DATA_SUFFIXES]
            beside = [sidecar_of(image), *(detached if suffix in (".nhdr", ".mhd") else ())]
            found += [image, *(file for file in beside if file.is_file())]
    return found


def split(cases: Iterable[Case], folder: Path, entries: dict[str, Entry]) -> tuple[dict[int, Entry], list[Case]]:
    """What is done, by number, with what was recorded; and the cases still to do, in their order."""
    listed = list(cases)
    with ThreadPoolExecutor(_READERS) as readers:
        recorded = list(readers.map(lambda case: _verified(case, folder, entries), listed))
    done = {case.number: entry for case, entry in zip(listed, recorded) if entry is not None}
    return done, [_to_do(case, folder, entries) for case in listed if case.number not in done]


def clear_leftovers(cases: Iterable[Case], folder: Path) -> None:
    """Take away the half-written files that killed processes of this machine left where results go."""
    for place in sorted({folder, *(case.output.parent for case in cases)}):
        remove_leftovers(place)


def relative(path: Path, folder: Path) -> str:
    """The name a file of the cohort has in its records."""
    return path.relative_to(folder).as_posix()


def _verified(case: Case, folder: Path, entries: dict[str, Entry]) -> Entry | None:
    entry = entries.get(relative(case.output, folder))
    if entry is None:
        return None
    try:
        if any(sha256_of(folder / name) != digest for name, digest in entry.files.items()):
            return None
        same_place = entry.input == str(case.input.absolute())
        if same_place and size_and_time(case.input) == (entry.input_bytes, entry.input_mtime_ns):
            return entry
        now = fingerprint(case.input)
    except (OSError, InputError):
        return None
    return entry if (now.bytes, now.sha256) == (entry.input_bytes, entry.input_sha256) else None


def _to_do(case: Case, folder: Path, entries: dict[str, Entry]) -> Case:
    """The case, allowed to replace its own result where that is damaged beyond telling what it was."""
    from ..volume import read_volume

    if relative(case.output, folder) not in entries or not case.output.is_file():
        return case
    try:
        read_volume(case.output)
    except ImageTranslationError:
        return Case(case.number, case.input, case.output, replace=True)
    return case


def _files_of_input(path: Path) -> list[Path]:
    """The file, the two files of a detached header, or all DICOM files below a folder, sorted."""
    if path.is_dir():
        from ..dicomio import is_dicom

        found = (Path(root) / name for root, _, names in os.walk(path) for name in names)
        return sorted(file for file in found if is_dicom(file))
    if path.name.lower().endswith((".nhdr", ".mhd")):
        try:
            return [path, *(data for data in [inspect(path).data] if data != path)]
        except InputError:
            return [path]
    return [path]
