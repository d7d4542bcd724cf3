"""What a classification is given: labels, record, and either tables of features or a table of images; one study of it.

Everything is held against the record of who made the synthetic images before anything is learnt. Who is left out, and
what had to be taken on trust, is said in `notes` and in the cohort's `excluded`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.files import make_folder

from . import features, images, tables
from .arms import PerFold
from .crossfit import ALL, NESTED, TEST, CrossFit
from .crossvalidation import Folds
from .images import REAL, SOURCE, SYNTHETIC, Row
from .tables import Cohort, Table

Told = Callable[[str], None]


@dataclass(frozen=True)
class Arms:
    """Tables as they were read. synthetic: by fold; only "all" where the record is simple. left: sentences about
    images that are in no table."""

    source: Table
    synthetic: Mapping[str, Table]
    real: Table | None = None
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """One kind of input (features or images) of the cohort. per_fold: None with a simple record.

    test: patients kept to the last, who are in `whole` and not in `cohort`.
    """

    whole: Cohort
    cohort: Cohort
    per_fold: PerFold | None
    last: PerFold | None
    test: tuple[str, ...]
    folds: Folds


def study(
    labels: Mapping[str, int], positive: str, read: Arms, record: CrossFit, folds: Folds, test: Sequence[str]
) -> Study:
    """Join and divide; InputError where patients, folds or features do not fit together."""
    nested = record.kind == NESTED
    first = (TEST if test else sorted(read.synthetic)[0]) if nested else ALL
    if first not in read.synthetic:
        raise InputError(f"There are no synthetic images for the fold {first}.")
    synthetic, left = _defined_in_all(read.synthetic, first, set(test))
    given = {SOURCE: read.source, SYNTHETIC: synthetic[first], **({} if read.real is None else {REAL: read.real})}
    # A nested record's folds say nothing of patients without images; those are told by `join`.
    whole = tables.join(labels, positive, given)
    whole = replace(whole, excluded=(*whole.excluded, *read.left, *left))
    if unknown := sorted(set(test) - set(whole.patients)):
        raise InputError(f"{unknown[0]} is to be tested last, but has no label or lacks an image.")
    cohort = tables.subset(whole, [who for who in whole.patients if who not in set(test)])
    if not nested:
        return Study(whole, cohort, None, None, tuple(test), folds)
    names = whole.names[SYNTHETIC]
    outer = {
        fold: _stacked(table, names, cohort.patients, fold) for fold, table in synthetic.items() if fold != TEST
    }  # fmt: skip
    last = {TEST: _stacked(synthetic[TEST], names, whole.patients, TEST)} if test else None
    return Study(whole, cohort, outer, last, tuple(test), given_folds(record, cohort, folds, set(labels) - set(test)))


def given_folds(record: CrossFit, cohort: Cohort, folds: Folds, planned: Set[str]) -> Folds:
    """The folds that a nested record was made for; those of `folds` where it does not say.

    planned: patients with a label who are not kept to the last. InputError where folds are not named and one of these
    lacks an image: they would be divided in another way than the translators were made for.
    """
    if not record.folds:
        if lacking := sorted(planned - set(cohort.patients)):
            why = next(
                (text for text in cohort.excluded if text.startswith(f"{lacking[0]} ")), f"{lacking[0]} is missing"
            )
            raise InputError(
                f"The record does not say whom its folds test, so all {len(planned)} patients of the plan must be "
                f"there; {why}. Give the record its folds, or leave that patient out and plan anew."
            )
        return folds
    place = {patient: n for n, patient in enumerate(cohort.patients)}
    given = []
    for name, tested in sorted(record.folds.items()):
        try:
            repeat, fold = map(int, name.split("-"))
        except ValueError:
            raise InputError(f"The record names the fold {name!r}; it should be <repeat>-<fold>.") from None
        given.append((repeat, fold, tuple(sorted(place[who] for who in tested if who in place))))
    repeats = len({repeat for repeat, _, _ in given})
    return Folds(len(given) // repeats, repeats, folds.seed, tuple(given))


def _defined_in_all(
    found: Mapping[str, Table], first: str, test: set[str]
) -> tuple[dict[str, Table], list[str]]:  # fmt: skip
    """Tables with the features that are there, and defined for everyone, in all folds; sentences about the others."""
    names = found[first][1]
    for fold, (_, own) in found.items():
        if lacking := sorted(set(names) - set(own)):
            raise InputError(f"The features of fold {fold} lack {lacking[0]}, which other folds have.")
    if len(found) == 1:
        return dict(found), []
    kept = []
    for name in names:
        columns = [np.array([row[own.index(name)] for row in table.values()]) for table, own in found.values()]
        if all(tables.defined(column).all() for column in columns):
            kept.append(name)
    told = [f"{len(names) - len(kept)} synthetic features are undefined in some fold and left out"]
    cut = {
        fold: ({who: row[[own.index(name) for name in kept]] for who, row in table.items()}, tuple(kept))
        for fold, (table, own) in found.items()
    }
    return cut, told if len(kept) < len(names) else []


def _stacked(table: Table, names: Sequence[str], patients: Sequence[str], fold: str) -> np.ndarray:
    values, own = table
    if missing := [patient for patient in patients if patient not in values]:
        raise InputError(f"{missing[0]} has no synthetic image in fold {fold}; leave that patient out, or translate.")
    places = [own.index(name) for name in names]
    return np.stack([values[patient][places] for patient in patients])


def from_tables(source: str, synthetic: str, real: str, record: CrossFit) -> tuple[Arms, list[str]]:
    """Arms of feature tables, and what has to be taken on trust. synthetic: a table, or a folder of <fold>.csv.

    InputError where a table says that it was taken from other images than the recorded ones.
    """
    notes = []
    folder = Path(synthetic)
    paths = {path.stem: path for path in sorted(folder.glob("*.csv"))} if folder.is_dir() else {}
    paths = {name: path for name, path in paths.items() if "-" in name or name == TEST}
    if folder.is_dir() and not paths:
        raise InputError(f"{synthetic} holds no tables <repeat>-<fold>.csv.")
    made = {name: tables.read_features(path) for name, path in paths.items()} or {ALL: read_table(synthetic)}
    for name, path in (paths or {ALL: folder}).items():
        if not path.is_file() or not _recorded(path, name, record):
            notes.append(
                f"The features of the synthetic images ({name}) do not say from which files they were taken, or the "
                "record does not: that they belong together is taken on trust."
            )
    return Arms(read_table(source), made, read_table(real) if real else None), notes


def _recorded(path: Path, fold: str, record: CrossFit) -> bool:
    """Whether table and record both name the files, which are then the same; InputError where they are not."""
    hashes, known = tables.read_hashes(path), record.files.get(fold, {})
    if not hashes or not known:
        return False
    for patient, own in sorted(hashes.items()):
        if patient in known and not own <= set(known[patient].values()):
            raise InputError(
                f"{path}: the features of {patient} were taken from another image than the recorded one, which another "
                "run or version of the model may have made; extract them again."
            )
    return True


def read_table(text: str) -> Table:
    """A feature table: a CSV, or `long.csv:relation:side`."""
    path, *parts = text.rsplit(":", 2)
    if len(parts) == 2 and not Path(text).exists():
        return tables.wide(Path(path), *parts)
    return tables.read_features(Path(text))


def by_fold(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows of a table of images by arm and fold; InputError where source or synthetic images are missing."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.arm, row.fold), []).append(row)
    for arm in (SOURCE, SYNTHETIC):
        if arm not in {own for own, _ in found}:
            raise InputError(f"The table of images has no image of the arm {arm}.")
    return found


def arms_of_images(rows: Sequence[Row]) -> Arms:
    """Arms of arrays for a network, one image a patient."""
    made: dict[tuple[str, str], Table] = {
        key: (dict(images.tensors(part)), ("image",)) for key, part in by_fold(rows).items()
    }
    return replace(_arms(made), left=images.several(rows))


def arms_of_features(rows: Sequence[Row], output: Path, told: Told, workers: int) -> tuple[Arms, list[str]]:
    """Arms of features extracted from the images; tables are left in `output`. Sentences about who has none."""
    make_folder(output)
    made, notes, written = {}, [], set()
    for (arm, fold), part in by_fold(rows).items():
        name = arm.replace(" ", "-") + ("" if fold == ALL else f"-{fold}")
        made[arm, fold], lacking = features.extract(part, output / f"{name}.csv", told, workers=workers)
        notes += lacking
        written.add(f"{name}.csv")
    for path in output.glob("*.csv"):  # of an earlier study with other folds or arms
        if path.name not in written:
            path.unlink()
    return _arms(made), notes


def _arms(made: Mapping[tuple[str, str], Table]) -> Arms:
    synthetic = {fold: table for (arm, fold), table in made.items() if arm == SYNTHETIC}
    return Arms(made[SOURCE, ALL], synthetic, made.get((REAL, ALL)))


def same_patients(read: Sequence[Arms]) -> list[Arms]:
    """The same arms with only those patients that every kind of input has, so that all models see the same ones."""

    def shared(tables_: Sequence[Table]) -> list[Table]:
        everywhere = set.intersection(*(set(table) for table, _ in tables_))
        return [({who: row for who, row in table.items() if who in everywhere}, names) for table, names in tables_]

    sources = shared([arms.source for arms in read])
    made = {fold: shared([arms.synthetic[fold] for arms in read]) for fold in read[0].synthetic}
    real = [arms.real for arms in read if arms.real is not None]
    reals: Sequence[Table | None] = shared(real) if len(real) == len(read) else [None] * len(read)
    return [
        Arms(sources[n], {fold: parts[n] for fold, parts in made.items()}, reals[n], arms.left)
        for n, arms in enumerate(read)
    ]
