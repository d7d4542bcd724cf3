"""An image of a reading is fetched in small steps, and is the same as one that was read at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagetranslation import rawvoxels
from imagetranslation.errors import InputError
from imagetranslation.readerstudy.readingset import ReadingSet, Trial, image_in_steps, load_reading_set, reading_image
from imagetranslation.volume import read_volume
from Testing.studies import a_document, a_study

STEP = 512


@pytest.fixture
def reading(tmp_path: Path) -> ReadingSet:
    return load_reading_set(a_study(tmp_path / "study", a_document(cases=1)))


@pytest.fixture
def trial(reading: ReadingSet) -> Trial:
    return reading.trials("R1")[0]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is larger than a step must not be read at once."""

    def at_once(*_: object, **__: object) -> None:
        raise AssertionError("the voxels were read at once")

    monkeypatch.setattr(rawvoxels.np, "fromfile", at_once)


def test_a_large_image_is_read_piece_by_piece(reading: ReadingSet, trial: Trial, large: None) -> None:
    file = reading.image_file(trial.images["A"])
    size = file.stat().st_size
    steps = sum(1 for _ in image_in_steps(reading, trial, "A", STEP))
    assert steps >= 2 * (size // STEP), "once for the digest, once for the voxels"


def test_it_is_the_image_in_the_file_and_lies_in_memory(reading: ReadingSet, trial: Trial) -> None:
    whole = read_volume(reading.image_file(trial.images["A"]))
    steps = image_in_steps(reading, trial, "A", STEP)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            image = end.value
            break
    assert np.array_equal(reading_image(reading, trial, "A").array, whole.array)
    assert np.array_equal(image.array, whole.array)
    assert image.array.dtype == whole.array.dtype
    assert image.same_grid(whole)
    assert image.array.flags.writeable, "a mapping would be read-only"


def test_an_image_that_shrinks_while_it_is_read_is_refused(reading: ReadingSet, trial: Trial, large: None) -> None:
    file = reading.image_file(trial.images["A"])
    size = file.stat().st_size
    steps = image_in_steps(reading, trial, "A", STEP)
    for _ in range(size // STEP + 2):
        next(steps)
    with open(file, "r+b") as stream:
        stream.truncate(size - 2 * STEP)
    with pytest.raises(InputError, match="case 1 was changed or damaged"):
        for _ in steps:
            pass
