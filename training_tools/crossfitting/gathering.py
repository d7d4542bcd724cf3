"""All translators of a cross-fit together: the sealed record of who made which image, and the table of all images.

`crossfit.json` is what `training_tools.classify` checks (`classifying.crossfit`). `images.csv` names every patient's
image of each arm: source and real target once, the synthetic one for each fold; with the region that is drawn in all
of them, where there is one, and each file's SHA-256.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagetranslation import __version__
from imagetranslation.errors import InputError
from imagetranslation.files import sha256_of

from ..classifying import crossfit
from ..classifying.images import REAL, SOURCE, SYNTHETIC
from ..dataset import case_files
from ..evaluating.writing import write_rows
from .making import Place

RECORD, TABLE = "crossfit.json", "images.csv"


def gather(place: Place, records: Mapping[str, Mapping[str, Any]]) -> crossfit.CrossFit:
    """Write record and table. records: of every translator, by its name. InputError where they do not fit together."""
    trained: dict[str, frozenset[str]] = {}
    about: dict[str, dict[str, Any]] = {}
    images: dict[str, dict[str, str]] = {}
    files: dict[str, dict[str, dict[str, str]]] = {}
    for translator in place.plan.translators:
        record = records[translator.name]
        sha = str(record["weights_sha256"])
        if sha in trained and trained[sha] != frozenset(translator.trained_on):
            raise InputError(
                f"Two translators trained on different patients have the same weights ({sha[:12]}): the training has "
                "not moved them. Give the configuration more steps or a higher rate."
            )
        trained[sha] = frozenset(translator.trained_on)
        keys = ("cases", "config_sha256", "id", "version", "software")
        folder = place.folder(translator).relative_to(place.output)
        about[sha] = {**{key: record[key] for key in keys}, "package": (folder / "package").as_posix()}
        for patient in translator.makes:
            images.setdefault(translator.fold, {})[patient] = sha
            paths = [place.image(translator.fold, case) for case in place.cases[patient]]
            names = [path.relative_to(place.output).as_posix() for path in paths]
            files.setdefault(translator.fold, {})[patient] = {name: record["files"][name] for name in names}
    found = crossfit.CrossFit(trained, images, place.plan.tested, place.plan.scheme.test, files, about, sealed=True)
    everyone = {who for made_by in images.values() for who in made_by}
    found.check(sorted(everyone))
    for fold, tested in found.folds.items():
        found.check_fold(fold, tested)
    if found.test:
        found.check_fold(found.last, found.test)
    crossfit.write(
        found, place.output / RECORD, data=dict(place.plan.prints), software={"imagetranslation": __version__},
        scheme={"kind": place.plan.scheme.kind, "seed": place.plan.scheme.seed}, notes=list(place.plan.notes),
    )  # fmt: skip
    write_rows(_rows(place, found), place.output / TABLE)
    return found


def _rows(place: Place, found: crossfit.CrossFit) -> list[dict[str, Any]]:
    rows = []
    for patient in sorted({who for made_by in found.images.values() for who in made_by}):
        for case in place.cases[patient]:
            files = case_files(place.data, case)
            region = place.data / "source_label" / f"{case}.nrrd"
            common = {"patient": patient, "case": case}
            drawn = region.is_file()
            named = {"region": _told(region, place.output) if drawn else ""}
            hashed = {"region_sha256": sha256_of(region) if drawn else ""}
            for arm, part in ((SOURCE, "source"), (REAL, "target")):
                path = files[part]
                rows.append(
                    {**common, "arm": arm, "fold": "", "image": _told(path, place.output), **named,
                     "sha256": sha256_of(path), **hashed}
                )  # fmt: skip
            for fold, made in found.files.items():
                path = place.image(fold, case)
                name = path.relative_to(place.output).as_posix()
                if name in made.get(patient, {}):
                    rows.append(
                        {**common, "arm": SYNTHETIC, "fold": fold, "image": name, **named,
                         "sha256": made[patient][name], **hashed}
                    )  # fmt: skip
    return rows


def _told(path: Path, output: Path) -> str:
    """The path as seen from the cross-fit's folder, so that both may be moved together."""
    return Path(os.path.relpath(path.resolve(), output.resolve())).as_posix()
