"""The reading set: the folder readers get. Its manifest holds questions, tokens and image names, and no truth.

It may be copied to another site as it is. Answers go into `answers/` inside it (`journal`); it is made by `building`
and shown through `reading_image`.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, cast

import numpy as np

from ..errors import InputError
from . import definition
from .definition import Study, load_study, question_from, read_document
from .questions import Question
from .soundness import canonical, schema_fault
from .wording import check_questions

if TYPE_CHECKING:
    from ..volume import Volume

FOLDER, MANIFEST, IMAGES, ANSWERS = "reading", "manifest.json", "images", "answers"
SUFFIX = ".nii"
# The one text on every image of a blinded reading, real or synthetic.
STUDY_READING = "STUDY READING, not for diagnosis"
SOURCE = "source"


@dataclass(frozen=True)
class Trial:
    """One trial as a reader meets it. number: 1, 2, ... images: slot ("source", "A", "B", ...) to image name."""

    token: str
    number: int
    session: int
    training: bool
    images: Mapping[str, str]

    @property
    def slots(self) -> tuple[str, ...]:
        """The blinded images, "A" first; the source, which is named as such, is not among them."""
        return tuple(sorted(slot for slot in self.images if slot != SOURCE))


@dataclass(frozen=True)
class ReadingSet:
    """A sound reading set. `document` is its manifest; `folder` holds it."""

    folder: Path
    document: Mapping[str, Any]
    study: str
    version: int
    title: str
    instructions: str
    kind: str
    layout: str
    inverted: bool
    source_label: str
    window: tuple[float, float]
    questions: tuple[Question, ...]
    sessions: int
    washout_days: float
    not_before: tuple[Optional[datetime.date], ...]
    allow_back: bool
    idle_after_s: float
    readers: tuple[str, ...]

    @functools.cached_property
    def sha256(self) -> str:
        """Hex digest of the manifest; journals are bound to it."""
        return hashlib.sha256(canonical(self.document).encode("utf-8")).hexdigest()

    @property
    def answers(self) -> Path:
        """The folder of the journals."""
        return self.folder / ANSWERS

    def trials(self, reader: str) -> tuple[Trial, ...]:
        """The reader's trials in order; InputError where the study has no such reader."""
        if reader not in self.document["readers"]:
            raise InputError(f"There is no reader {reader[:40]} in this study; there are {', '.join(self.readers)}.")
        return tuple(
            Trial(made["token"], n + 1, int(made["session"]), made["training"], made["images"])
            for n, made in enumerate(self.document["readers"][reader])
        )

    def image_file(self, name: str) -> Path:
        """The file of an image name."""
        return self.folder / IMAGES / (name + SUFFIX)


def reading_folder(path: str | Path) -> Path:
    """The reading set's folder, given it or the study's folder."""
    given = Path(path)
    return given / FOLDER if (given / FOLDER / MANIFEST).is_file() else given


def load_reading_set(path: str | Path) -> ReadingSet:
    """Read and check a reading set, given its folder or the study's.

    Where the study's own definition lies beside it, both must belong together: a study file that was changed after the
    set was made is refused. Raises InputError in one sentence.
    """
    folder = reading_folder(path)
    if not (folder / MANIFEST).is_file():
        what = "; make it with `imagetranslation study prepare`" if (Path(path) / definition.FILE).is_file() else ""
        raise InputError(f"There is no reading set in {path}{what}.")
    made = reading_set_from(read_document(folder / MANIFEST), folder)
    beside = folder.parent / definition.FILE
    if folder.name == FOLDER and beside.is_file():
        _require_same(made, load_study(beside))
    return made


def reading_set_from(document: Any, folder: Path) -> ReadingSet:
    """The reading set a manifest describes; InputError with one sentence naming the first fault."""
    where = folder / MANIFEST
    if fault := schema_fault(document, "reading"):
        raise InputError(f"{where} is not a sound reading set: {fault}.")
    sessions, options = document["sessions"], document["options"]
    try:
        questions = tuple(question_from(q) for q in document["questions"])
        check_questions(questions, document["kind"])
        dates = [None if d is None else datetime.date.fromisoformat(d) for d in sessions["not_before"]]
    except (InputError, ValueError) as error:
        raise InputError(f"{where} is not a sound reading set: {error}") from None
    tokens = [trial["token"] for row in document["readers"].values() for trial in row]
    names = {name for row in document["readers"].values() for trial in row for name in trial["images"].values()}
    if len(set(tokens)) != len(tokens) or not names <= set(document["images"]):
        raise InputError(f"{where} is not a sound reading set: its tokens do not fit together.")
    low, high = document["window"]
    return ReadingSet(
        folder=folder,
        document=document,
        study=document["study"],
        version=int(document["version"]),
        title=document["title"],
        instructions=document.get("instructions", ""),
        kind=document["kind"],
        layout=document["layout"],
        inverted=document["inverted"],
        source_label=document.get("source_label", ""),
        window=(float(low), float(high)),
        questions=questions,
        sessions=int(sessions["count"]),
        washout_days=float(sessions["washout_days"]),
        not_before=tuple([*dates, *[None] * int(sessions["count"])][: int(sessions["count"])]),
        allow_back=options["allow_back"],
        idle_after_s=float(options["idle_after_s"]),
        readers=tuple(document["readers"]),
    )


def reading_image(reading: ReadingSet, trial: Trial, slot: str) -> Volume:
    """One image of a trial, as a face may show it: named neutrally, window in `attributes["window"]`, the text for the
    corner in `attributes["corner_text"]`.

    Its bytes are compared with the manifest before anything is shown. InputError names the case by its number only.
    """
    steps = image_in_steps(reading, trial, slot)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("Volume", end.value)


def image_in_steps(
    reading: ReadingSet, trial: Trial, slot: str, step_bytes: int = 1 << 20
) -> Generator[None, None, Volume]:
    """`reading_image` for a face that must not stand still: yields after so many bytes, returns the image."""
    from ..formats import read_file
    from ..rawvoxels import MAPPED

    which = "The source image" if slot == SOURCE else f"Image {slot}"
    name = trial.images[slot]
    file = reading.image_file(name)
    remedy = f"tell the coordinator (token {trial.token[:8]}); answers given so far are kept"
    changed = InputError(f"{which} of case {trial.number} was changed or damaged; {remedy}.")
    if not file.is_file():
        raise InputError(f"{which} of case {trial.number} is missing; {remedy}.")
    try:
        digest = hashlib.sha256()
        with open(file, "rb", buffering=0) as stream:
            while piece := stream.read(step_bytes):
                digest.update(piece)
                yield
        if digest.hexdigest() != reading.document["images"][name]:
            raise changed
        volume = read_file(file, mapped=True, map_from=step_bytes)
        if MAPPED in volume.attributes:
            volume = volume.with_array((yield from _voxels_in_steps(file, volume.array, step_bytes)))
    except EOFError:
        raise changed from None
    except MemoryError as error:
        raise InputError(f"{which} of case {trial.number} does not fit into the free memory; {remedy}.") from error
    except OSError as error:
        raise InputError(f"{which} of case {trial.number} cannot be read: {error.strerror}; {remedy}.") from error
    shown = "Source" if slot == SOURCE else f"Image {slot}"
    facts = {"window": list(reading.window), "corner_text": STUDY_READING}
    return _stripped(volume, shown, facts)


def _voxels_in_steps(file: Path, mapped: np.ndarray, step_bytes: int) -> Generator[None, None, np.ndarray]:
    """What `mapped` would show, read from the file, whose end the voxels are; EOFError where it ends too soon.

    The mapping itself is never looked into: a file that is cut short while it is would end the process.
    """
    array = np.empty(mapped.shape, mapped.dtype)
    room = array.data.cast("B")
    with open(file, "rb", buffering=0) as stream:
        stream.seek(file.stat().st_size - mapped.nbytes)
        while len(room):
            yield
            count = stream.readinto(room[:step_bytes])
            if not count:
                raise EOFError
            room = room[count:]
    return array


def reading_images(reading: ReadingSet, trial: Trial) -> dict[str, Volume]:
    """Every image of a trial by slot, the source first where it is shown; see `reading_image`."""
    slots = sorted(trial.images, key=lambda slot: (slot != SOURCE, slot))
    return {slot: reading_image(reading, trial, slot) for slot in slots}


def _stripped(volume: Volume, name: str, attributes: dict[str, Any]) -> Volume:
    from ..volume import Volume

    return Volume(volume.array, volume.spacing, volume.origin, volume.direction, name, attributes=attributes)


def _require_same(made: ReadingSet, study: Study) -> None:
    if study.sha256 != made.document["definition_sha256"]:
        answered = made.answers.is_dir() and any(made.answers.glob("*.jsonl"))
        remedy = "make a new version with `imagetranslation study revise`" if answered else "run `study prepare` again"
        raise InputError(
            f"{definition.FILE} of {study.id} was changed after its reading set was made; put it back as it was, or "
            f"{remedy}."
        )
