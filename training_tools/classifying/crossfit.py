"""Who made a synthetic image, and whom that translator had seen: what a fair test of synthetic images rests on.

A translator that was trained on a patient has seen the very image it is asked to make. So every patient's image, in
training and in testing, must come from a translator that never saw that patient ("simple"); and within an outer fold
no translator used may have seen the real target of any tested patient ("nested"), or labels could leak through what it
learnt. The record is a JSON file; translators are known by the SHA-256 of their weights.

    {"translators": {"<sha256>": {"trained_on": ["p1", ...]}},
     "images": {"<outer fold>": {"<patient>": {"translator": "<sha256>", "files": {"<path>": "<sha256>"}}}}}

In a simple record the only fold is "all"; a nested one has "<repeat>-<fold>" for every fold, and "test" where some
patients are kept for one last test. `training_tools.crossfit` writes more (`folds`: whom each fold tests; `test`; of
each translator its configuration, cases and package; of each image its file and hash) and seals it with a hash of the
whole. What there is of that is held against the files by `verify`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError
from imagetranslation.files import sha256_of, write_text

SIMPLE, NESTED, ALL, TEST = "simple", "nested", "all", "test"


@dataclass(frozen=True)
class CrossFit:
    """trained_on: translator to its patients. images: outer fold (or "all") to patient to translator.

    folds: outer fold to the patients it tests, empty where the record does not say. test: patients kept for one last
    test. files: outer fold to patient to path (from the record's folder) to SHA-256. about: what else is said of each
    translator. sealed: whether the record bears its own hash.
    """

    trained_on: Mapping[str, frozenset[str]]
    images: Mapping[str, Mapping[str, str]]
    folds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    test: tuple[str, ...] = ()
    files: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    about: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sealed: bool = False

    @property
    def kind(self) -> str:
        """ "simple" or "nested"."""
        return SIMPLE if set(self.images) == {ALL} else NESTED

    @property
    def last(self) -> str:
        """The fold whose images the last test uses."""
        return ALL if self.kind == SIMPLE else TEST

    def check(self, patients: Iterable[str]) -> None:
        """Raise InputError unless every patient has an image, in every fold, of a translator that did not see them.

        Patients kept for the last test need none in the outer folds. A trained name that differs from a patient's in
        capitals or blanks alone is refused as well: the check would pass by it.
        """
        patients = list(patients)
        self._require_names(patients)
        for fold, made_by in self.images.items():
            for patient in patients:
                if fold not in (ALL, TEST) and patient in self.test:
                    continue
                translator = made_by.get(patient)
                if translator is None:
                    raise InputError(f"No translator is named for the synthetic image of {patient} (fold {fold}).")
                if patient in self._seen(translator):
                    raise InputError(
                        f"The synthetic image of {patient} (fold {fold}) comes from a translator that was trained on "
                        f"{patient}: {translator[:12]}. Translate each patient with a model that never saw them."
                    )

    def check_fold(self, fold: str, tested: Iterable[str]) -> None:
        """Raise InputError where a translator used in this outer fold has seen one of its tested patients."""
        held_out = set(tested)
        for patient, translator in self.images[fold].items():
            if shared := sorted(held_out & self._seen(translator)):
                raise InputError(
                    f"In fold {fold} the image of {patient} comes from a translator that has seen {shared[0]}, who is "
                    "tested in this fold. Train the fold's translators without its tested patients."
                )

    def _require_names(self, patients: Sequence[str]) -> None:
        exact, alike = set(patients), {_plain(patient): patient for patient in patients}
        for name in sorted(frozenset().union(*self.trained_on.values()) - exact):
            if (own := alike.get(_plain(name))) is not None:
                raise InputError(
                    f"The record's translators were trained on {name!r}, and the study has a patient {own!r}; write "
                    "the same name for the same patient, or it cannot be told whom a translator saw."
                )

    def _seen(self, translator: str) -> frozenset[str]:
        if translator not in self.trained_on:
            raise InputError(f"The record does not say on whom the translator {translator[:12]} was trained.")
        return self.trained_on[translator]


def read(path: Path) -> CrossFit:
    """Read a record; InputError where it is none, names nobody a translator saw, or its seal is broken."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        trained = {
            str(sha): frozenset(_names(about["trained_on"], f"whom the translator {str(sha)[:12]} was trained on"))
            for sha, about in record["translators"].items()
        }
        about = {
            str(sha): told
            for sha, said in record["translators"].items()
            if (told := {key: value for key, value in said.items() if key != "trained_on"})
        }
        images = {
            str(fold): {str(patient).strip(): str(said["translator"]) for patient, said in patients.items()}
            for fold, patients in record["images"].items()
        }
        files = {
            str(fold): told
            for fold, patients in record["images"].items()
            if (told := {str(who).strip(): dict(said["files"]) for who, said in patients.items() if said.get("files")})
        }
        folds = {
            str(fold): _names(tested, f"whom the fold {fold} tests") for fold, tested in record.get("folds", {}).items()
        }
        test = _names(record["test"], "who is tested last") if "test" in record else ()
        seal = record.pop("seal", None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no record of who made the synthetic images (translators, images).") from error
    if not images:
        raise InputError(f"{path} names no image.")
    if nobody := sorted(sha for sha, seen in trained.items() if not seen):
        raise InputError(
            f"{path} names nobody whom the translator {nobody[0][:12]} was trained on, so that nothing can be checked; "
            "name them in trained_on, also where they are no patients of this study."
        )
    if seal is not None and seal != _seal(record):
        raise InputError(
            f"{path} was changed after it was written: its seal does not hold. Run training_tools.crossfit again; it "
            "keeps what is done and writes the record anew."
        )
    return CrossFit(trained, images, folds, test, files, about, seal is not None)


def write(found: CrossFit, path: Path, **more: Any) -> None:
    """Write a record; more: what else shall stand in it. Sealed if `found` says so."""
    record: dict[str, Any] = {
        **more,
        "translators": {
            sha: {"trained_on": sorted(seen), **found.about.get(sha, {})} for sha, seen in found.trained_on.items()
        },
        "images": {
            fold: {patient: _image(found, fold, patient, sha) for patient, sha in sorted(made_by.items())}
            for fold, made_by in found.images.items()
        },
    }
    if found.folds:
        record["folds"] = {fold: sorted(tested) for fold, tested in found.folds.items()}
    if found.test:
        record["test"] = sorted(found.test)
    if found.sealed:
        record = json.loads(json.dumps(record))
        record["seal"] = _seal(record)
    write_text(path, json.dumps(record, indent=1) + "\n")


def verify(found: CrossFit, folder: Path) -> list[str]:
    """Hold a record against the files beside it; returns sentences about what could not be looked at.

    Raises InputError for an image that is not the recorded one, translators of several configurations, and a package
    whose weights or training cases are not the recorded ones. folder: the record's.
    """
    notes = [] if found.sealed else ["The record bears no seal: what it says of its translators is taken on trust."]
    configurations = {str(told["config_sha256"]) for told in found.about.values() if "config_sha256" in told}
    if len(configurations) > 1:
        raise InputError(
            f"{folder} has translators of {len(configurations)} configurations; all images of an arm must come from "
            "one. Make them again with training_tools.crossfit."
        )
    versions = sorted({str(told["software"]) for told in found.about.values() if "software" in told})
    if len(versions) > 1:
        notes.append(f"The translators were trained by several versions of imagetranslation: {', '.join(versions)}.")
    notes += [note for sha, told in sorted(found.about.items()) if (note := _package(sha, told, folder))]
    for made in found.files.values():
        for files in made.values():
            for name, hashed in files.items():
                require_hash(folder / name, hashed)
    return notes


def unknown_names(found: CrossFit, patients: Iterable[str]) -> list[str]:
    """A sentence where translators were trained on names that are no patients of the study; else nothing."""
    named = frozenset().union(*found.trained_on.values())
    known = named & set(patients)
    if named and known == named:
        return []
    return [
        f"{len(known)} of the {len(named)} names that the record's translators were trained on are patients of this "
        "study. That the others are other people, and not the same ones under other names, is taken on trust."
    ]


def _names(told: Any, what: str) -> tuple[str, ...]:
    """Names of a list in a record; InputError for anything else: a single name would be read letter by letter."""
    if not isinstance(told, list) or not all(isinstance(name, (str, int)) for name in told):
        raise InputError(f'The record must say {what} as a list of names, ["p1", "p2"]; it has {str(told)[:60]!r}.')
    return tuple(str(name).strip() for name in told)


def _plain(name: str) -> str:
    return name.strip().casefold()


def require_hash(path: Path, hashed: str) -> None:
    """InputError unless the file is there and has this SHA-256."""
    try:
        same = sha256_of(path) == hashed
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; it is one of the recorded images.") from error
    if not same:
        raise InputError(
            f"{path} is not the image that was recorded; it was changed since, or made by another model. Run "
            "training_tools.crossfit again, which makes it anew."
        )


def _package(sha: str, told: Mapping[str, Any], folder: Path) -> str:
    """Hold a translator against its package; a sentence where the package is not there."""
    if "package" not in told:
        return ""
    place = folder / str(told["package"])
    try:
        metadata = json.loads((place / "model.json").read_text(encoding="utf-8"))
        weights = sha256_of(place / "weights.safetensors")
        cases = set(map(str, metadata["training"]["cases"]))
        recorded = set(map(str, told.get("cases", cases)))
    except FileNotFoundError:
        return f"The package of the translator {sha[:12]} is gone: that it was trained as recorded is taken on trust."
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{place} is no model package; run training_tools.crossfit again.") from error
    if weights != sha or cases != recorded:
        raise InputError(f"{place} is not the translator of the record: its weights or its training cases differ.")
    return ""


def _image(found: CrossFit, fold: str, patient: str, translator: str) -> dict[str, Any]:
    files = found.files.get(fold, {}).get(patient)
    return {"translator": translator, **({"files": dict(files)} if files else {})}


def _seal(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
