"""Whether the images a study names are what their columns say: made by a model or acquired, and each listed once.

A mix-up in the list of cases cannot be seen in a blinded reading, and would be believed in the report. What is looked
at are marks in files (`Volume.synthetic`) and voxels; whether a picture looks right is for the eyes of the coordinator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from ..errors import InputError
from ..volume import Volume
from .definition import Case, Study
from .readingset import SOURCE

_NAMED = 5


class Originals:
    """Takes the images of one case after the other, in any order, and says at the end what was odd.

    remarks: sentences for the coordinator.
    """

    def __init__(self, study: Study) -> None:
        self.remarks: list[str] = []
        self._study = study
        self._seen: dict[str, tuple[Case, str]] = {}
        self._unmarked: dict[str, list[str]] = {arm.id: [] for arm in study.arms if arm.kind == "synthetic"}
        self._cases = 0

    def take(self, case: Case, source: Volume | None, arms: Mapping[str, Volume]) -> None:
        """Look at the images of a case. InputError where one image stands for two arms, or for one arm of two patients:
        no study can be meant so."""
        self._cases += 1
        for arm, cases in self._unmarked.items():
            if not arms[arm].synthetic:
                cases.append(case.id)
        for content, volume in {**({SOURCE: source} if source is not None else {}), **arms}.items():
            digest = _digest(volume)
            before, was = self._seen.setdefault(digest, (case, content))
            if (before, was) == (case, content):
                continue
            both = f"the same voxels as {was} of case {before.id}"
            if before is case:
                raise InputError(f"Case {case.id}: {content} has {both}; one image is listed for two.")
            if SOURCE not in (content, was) and before.patient != case.patient:
                raise InputError(
                    f"Case {case.id}: {content} has {both}, who is another patient; one of the two is the wrong file."
                )
            self.remarks.append(f"Case {case.id}: {content} has {both}. Look whether that is meant.")

    def finish(self) -> None:
        """Judge the marks of models, once every case was taken. InputError where some images of an arm carry one and
        others do not: an acquired image may have slipped in among those."""
        stated = {arm.id for arm in self._study.arms if arm.unmarked}
        for arm, cases in self._unmarked.items():
            if not cases or arm in stated:
                continue
            told = ", ".join(cases[:_NAMED]) + (", ..." if len(cases) > _NAMED else "")
            if len(cases) < self._cases:
                raise InputError(
                    f"Arm {arm}: {len(cases)} of {self._cases} images do not say that a model made them, the others do "
                    f"(cases {told}). If they are synthetic all the same, say so in study.json: "
                    f'"unmarked": true for this arm.'
                )
            self.remarks.append(
                f"No image of {arm} says that a model made it (another program's do not): make sure that the column "
                'holds no acquired images. "unmarked": true for this arm in study.json says that it is right.'
            )


def _digest(volume: Volume) -> str:
    """Of grid size and voxels; the format of the file, its header and its type of numbers do not matter."""
    made = hashlib.sha256(repr(volume.array.shape).encode())
    for part in volume.array:
        made.update(np.ascontiguousarray(part, dtype=np.float32).tobytes())
    return made.hexdigest()
