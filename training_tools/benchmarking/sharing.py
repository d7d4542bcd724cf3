"""What the cells of one fold share: floors, and what a package says of its training scans. Fitted once, then read.

A file's name is a hash of all that its content depends on (the images of every training case by their hashes, and the
settings), so that nothing is taken for another fold's, other data's or another configuration's. A file that is gone or
damaged is made again. Two cells that make the same at once write the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagetranslation import __version__
from imagetranslation.files import make_folder, write_text

from ..config import Config
from ..dataset import LazyCases
from ..evaluation import Floors
from ..exporting.trainingscans import of_scans
from ..splits import Split

if TYPE_CHECKING:
    from .cells import Plan

FOLDER = "shared"


def floors(plan: Plan, split: Split, config: Config, seen: Sequence[str]) -> Floors:
    """`Floors` fitted on these cases of the plan's data."""
    record = config.model_dump(mode="json")
    settings = {"target": record["target"], "field_of_view": record["source"]["field_of_view"]}
    path = _place(plan, split, "floors", settings, seen).with_suffix(".npz")
    if (kept := Floors.read(path, config)) is not None:
        return kept
    fitted = Floors(LazyCases(plan.data, config, seen), config)
    fitted.write(path)
    return fitted


def scans(plan: Plan, split: Split, config: Config, seen: Sequence[str]) -> dict[str, Any]:
    """`of_scans` of these cases."""
    inputs = {key: value for key, value in config.inputs().items() if key != "num_channels"}
    path = _place(plan, split, "scans", inputs, seen).with_suffix(".json")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["sha256"] == _sha256(kept["scans"]):
            return dict(kept["scans"])
    except (OSError, ValueError, KeyError, TypeError):
        path.unlink(missing_ok=True)
    # As it comes back from the file, so that it is the same the first time.
    found: dict[str, Any] = json.loads(json.dumps(of_scans(LazyCases(plan.data, config, seen), config)))
    write_text(path, json.dumps({"sha256": _sha256(found), "scans": found}) + "\n")
    return found


def _place(plan: Plan, split: Split, what: str, settings: dict[str, Any], seen: Sequence[str]) -> Path:
    made_from = {"settings": settings, "cases": [[case, split.hashes[case]] for case in seen], "software": __version__}
    return make_folder(plan.output / FOLDER) / f"{what}-{_sha256(made_from)[:32]}"


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
