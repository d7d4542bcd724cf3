"""Who made a synthetic image, and whom that translator had seen: what a fair test of synthetic images rests on.

A translator that was trained on a patient has seen the very image it is asked to make. So every patient's image, in
training and in testing, must come from a translator that never saw that patient ("simple"); and within an outer fold
no translator used may have seen the real target of any tested patient ("nested"), or labels could leak through what it
learnt. The record is a JSON file; translators are known by the SHA-256 of their weights.

    {"translators": {"<sha256>": {"trained_on": ["p1", ...]}},
     "images": {"<outer fold>": {"<patient>": {"translator": "<sha256>"}}}}

In a simple record the only fold is "all".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from imagetranslation.errors import InputError

SIMPLE, NESTED, ALL = "simple", "nested", "all"


@dataclass(frozen=True)
class CrossFit:
    """trained_on: translator to its patients. images: outer fold (or "all") to patient to translator."""

    trained_on: Mapping[str, frozenset[str]]
    images: Mapping[str, Mapping[str, str]]

    @property
    def kind(self) -> str:
        """ "simple" or "nested"."""
        return SIMPLE if set(self.images) == {ALL} else NESTED

    def check(self, patients: Iterable[str]) -> None:
        """Raise InputError unless every patient has an image, in every fold, of a translator that did not see them."""
        for fold, made_by in self.images.items():
            for patient in patients:
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

    def _seen(self, translator: str) -> frozenset[str]:
        if translator not in self.trained_on:
            raise InputError(f"The record does not say on whom the translator {translator[:12]} was trained.")
        return self.trained_on[translator]


def read(path: Path) -> CrossFit:
    """Read a record; InputError where it is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        trained = {str(sha): frozenset(map(str, about["trained_on"])) for sha, about in record["translators"].items()}
        images = {
            str(fold): {str(patient): str(about["translator"]) for patient, about in patients.items()}
            for fold, patients in record["images"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no record of who made the synthetic images (translators, images).") from error
    if not images:
        raise InputError(f"{path} names no image.")
    return CrossFit(trained, images)


def write(found: CrossFit, path: Path) -> None:
    """Write a record."""
    from imagetranslation.files import write_text

    record = {
        "translators": {sha: {"trained_on": sorted(seen)} for sha, seen in found.trained_on.items()},
        "images": {
            fold: {patient: {"translator": sha} for patient, sha in sorted(made_by.items())}
            for fold, made_by in found.images.items()
        },
    }
    write_text(path, json.dumps(record, indent=1) + "\n")
