"""Which images belong to which patient, by a prepared or simulated folder or a table, and what is known of lesions.

A case is one view. Every case that cannot be used is named with the reason; a table that contradicts itself is refused.
Where synthetic images come from is `synthetics`'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

from imagetranslation.errors import InputError

from ..dataset import all_simulated, manifest, simulated_in_part
from ..importers.tables import read_table

NO_GROUP = "group not given"
IMAGES = ("source", "target", "synthetic")
REGIONS = ("lesion", "hyperaemia")


@dataclass(frozen=True)
class Case:
    """Paths and facts of one view. lesion, hyperaemia: files of regions; synthetic: None where a folder is asked.

    mirrored: whether the image may show both sides of the body; false for a single hand.
    """

    name: str
    patient: str
    group: str
    view: str
    source: Path
    target: Path
    synthetic: Optional[Path] = None
    lesion: tuple[Path, ...] = ()
    hyperaemia: tuple[Path, ...] = ()
    mirrored: bool = True


@dataclass(frozen=True)
class Cohort:
    """cases in order. known: (case, label of the lesion) to what a table says of it. simulated: no patient's images."""

    cases: tuple[Case, ...]
    known: Mapping[tuple[str, int], Mapping[str, str]] = field(default_factory=dict)
    simulated: bool = False
    notes: tuple[str, ...] = ()

    def case(self, name: str) -> Case:
        """A case by its name; InputError where there is none."""
        for case in self.cases:
            if case.name == name:
                return case
        raise InputError(f"There is no case {name!r}; there are {len(self.cases)}, the first {self.cases[0].name}.")


def from_folder(folder: Path, group: str = "group", lesions: Optional[Path] = None) -> Cohort:
    """The cases of a folder of `training_tools.prepare` or of the simulator.

    group: the fact that holds the disease group. lesions: a table of lesions; by default the folder's `lesions.csv`.
    """
    about = manifest(folder)
    cases = []
    for record in about["cases"]:
        name, facts = str(record["case"]), record.get("facts", {})
        files = {part: folder / part / f"{name}.nrrd" for part in ("source", "target", *REGIONS)}
        if missing := [part for part in ("source", "target") if not files[part].is_file()]:
            raise InputError(f"{files[missing[0]]} is missing; prepare the data again.")
        regions = {part: (files[part],) if files[part].is_file() else () for part in REGIONS}
        patient = str(record.get("patient") or name)
        told = str(facts.get(group) or NO_GROUP), str(facts.get("view") or "").lower()
        images = files["source"], files["target"]
        cases.append(Case(name, patient, *told, *images, None, regions["lesion"], regions["hyperaemia"]))
    table = lesions or (folder / "lesions.csv" if (folder / "lesions.csv").is_file() else None)
    cohort, part = _cohort(cases, table, all_simulated(folder), folder), simulated_in_part(folder)
    return replace(cohort, notes=(*cohort.notes, part)) if part else cohort


def from_table(path: Path, group: str = "group", lesions: Optional[Path] = None, simulated: bool = False) -> Cohort:
    """A case a row. Columns: patient, source, target; case (else the patient), view, synthetic, lesion, hyperaemia,
    mirrored (0 where the image shows one side alone, as a single hand).

    Paths are relative to the table's folder; several files of regions are separated by semicolons.
    """
    rows = read_table(path)
    needed = ("patient", "source", "target")
    if not rows or any(name not in rows[0] for name in needed):
        told = ", ".join(rows[0]) if rows else "no row"
        raise InputError(f"The table {path} needs the columns {', '.join(needed)}; it has {told}.")
    cases = []
    for number, row in enumerate(rows, 2):
        where = f"Row {number} of {path}"
        files = {name: _files(row.get(name, ""), path.parent, where, name) for name in (*IMAGES, *REGIONS)}
        if not row["patient"] or not all(len(files[name]) == 1 for name in ("source", "target")):
            raise InputError(f"{where} must name a patient, one source and one target.")
        if len(files["synthetic"]) > 1:
            raise InputError(f"{where} names several synthetic images; give every image a row of its own.")
        made = files["synthetic"][0] if files["synthetic"] else None
        cases.append(Case(row.get("case") or row["patient"], row["patient"], row.get(group) or NO_GROUP,
                          row.get("view", "").lower(), files["source"][0], files["target"][0], made, files["lesion"],
                          files["hyperaemia"], row.get("mirrored", "") != "0"))  # fmt: skip
    return _cohort(cases, lesions, simulated, path)


def _cohort(cases: Sequence[Case], lesions: Optional[Path], simulated: bool, where: Path) -> Cohort:
    if not cases:
        raise InputError(f"{where} names no case.")
    if twice := [name for name, count in Counter(case.name for case in cases).items() if count > 1]:
        raise InputError(f"{where} has the case {twice[0]} twice; give every view its own name in the column case.")
    groups: dict[str, set[str]] = {}
    for case in cases:
        groups.setdefault(case.patient, set()).add(case.group)
    if torn := [patient for patient, named in groups.items() if len(named) > 1]:
        raise InputError(f"{where} puts {torn[0]} into two groups, {' and '.join(sorted(groups[torn[0]]))}.")
    lacking = sorted(patient for patient, named in groups.items() if NO_GROUP in named)
    notes = [f"No disease group is given for {_listed(lacking)}; read under {NO_GROUP!r}."] if lacking else []
    known = read_lesions(lesions, cases) if lesions is not None else {}
    return Cohort(tuple(cases), known, simulated, tuple(notes))


def read_lesions(path: Path, cases: Sequence[Case]) -> dict[tuple[str, int], dict[str, str]]:
    """A table of lesions: case, lesion (its label in the region file), and what else is known of it.

    InputError for a case that is not there, a lesion twice or a label that is no number from 1 on.
    """
    names = {case.name for case in cases}
    found: dict[tuple[str, int], dict[str, str]] = {}
    for number, row in enumerate(read_table(path), 2):
        if "case" not in row or "lesion" not in row:
            raise InputError(f"The table {path} needs the columns case and lesion; it has {', '.join(row)}.")
        if row["case"] not in names:
            raise InputError(f"Row {number} of {path} names the case {row['case']!r}, which is not among the cases.")
        if not row["lesion"].isdecimal() or int(row["lesion"]) < 1:
            raise InputError(f"Row {number} of {path}: a lesion is a label from 1 on, not {row['lesion']!r}.")
        key = row["case"], int(row["lesion"])
        if key in found:
            raise InputError(f"{path} has lesion {key[1]} of {key[0]} in two rows.")
        if row.get("increased", "") not in ("", "0", "1"):
            raise InputError(f"Row {number} of {path}: increased is 1 or 0, not {row['increased']!r}.")
        found[key] = row
    return found


def _files(text: str, folder: Path, where: str, name: str) -> tuple[Path, ...]:
    found = tuple(folder / part.strip() for part in text.split(";") if part.strip())
    if missing := [path for path in found if not path.exists()]:
        raise InputError(f"{where}: its {name} {missing[0].name} does not exist; paths are relative to {folder}.")
    return found


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
