"""Images of one side only: sources and targets of different patients, for objectives that learn without pairs.

Each is read, put on the common grid that was asked for and masked, as a pair's image is, but not registered: there is
nothing to register it to. Its files lie apart from those of pairs (`unpaired_source`, ...), so that no tool takes one
for half a pair. Which objectives may learn from them is `training.sampling`'s to say.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError
from imagetranslation.files import make_folder, sha256_of, write_text
from imagetranslation.volume import axis_codes, write_volume

from .aligning import Settings, align_single
from .pairs import SIDES, UNPAIRED, read_image, volumes_in
from .prepared import FORMAT, hash_of, is_done, read_record, software


@dataclass(frozen=True)
class Single:
    """An image of one side; its case's name says which. patient: whose it is."""

    case: str
    side: str
    path: Path
    patient: str


def list_singles(sources: Path | None, targets: Path | None) -> list[Single]:
    """Every image of two folders, in any number; files of the same name in both are one patient's, but no pair."""
    if (sources is None) != (targets is None):
        raise InputError("Give the unpaired images of both sides: --unpaired-source and --unpaired-target.")
    found = []
    for side, folder in zip(SIDES, (sources, targets)):
        if folder is not None:
            found += [Single(f"{name}-{side}", side, path, name) for name, path in volumes_in(folder).items()]
    return found


def prepare_single(single: Single, settings: Settings, output: Path) -> dict[str, Any]:
    """Write an image and where it was recorded, unless they are there; returns its record, see `prepared`."""
    try:
        inputs = {single.side: hash_of(single.path)}
    except OSError as error:
        raise InputError(f"{single.case}: {error.filename} cannot be read: {error.strerror}.") from error
    made_from = _digest(single, settings, inputs)
    record = read_record(output, single.case)
    if record is not None and is_done(output, record, made_from):
        return record
    axes = axis_codes(read_image(single.path))
    image, valid = align_single(single.path, single.side, settings)
    written = {}
    for part, volume in ((single.side, image), ("valid", valid)):
        path = make_folder(output / UNPAIRED[part]) / f"{single.case}.nrrd"
        write_volume(volume, path)
        written[part] = path.relative_to(output).as_posix()
    record = {
        "made_from": made_from,
        "axes": axes,
        "files": {name: sha256_of(output / name) for name in written.values()},
        "quality": {},
        "case": {"case": single.case, "side": single.side, **written, "from": inputs, "patient": single.patient},
    }
    write_text(make_folder(output / "records") / f"{single.case}.json", json.dumps(record, indent=1) + "\n")
    return record


def refuse_copies(records: Sequence[Mapping[str, Any]]) -> None:
    """InputError where a case's name is there twice, or a file under two names on one side, pairs' files included.

    records: as in `cases.json`.
    """
    if twice := [name for name, count in Counter(str(r["case"]).lower() for r in records).items() if count > 1]:
        raise InputError(f"Two cases would be called {twice[0]}; rename one of the files.")
    first: dict[tuple[str, str], str] = {}
    for record in records:
        for side in SIDES:
            if hashed := record["from"].get(side):
                earlier = first.setdefault((side, hashed), str(record["case"]))
                if earlier != record["case"] and "side" in record:
                    raise InputError(f"{earlier} and {record['case']} have the same {side} file; remove one.")


def _digest(single: Single, settings: Settings, inputs: Mapping[str, str]) -> str:
    made_from = {
        "format": FORMAT,
        "inputs": dict(inputs),
        "settings": asdict(settings),
        "software": software(),
        "patient": single.patient,
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True, default=str).encode()).hexdigest()
