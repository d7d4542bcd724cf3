"""From `study new` through reading in Chromium to the report, by simulated readers (NOT physicians), effects planted.

One study is of the real prostate pairs with the shipped model's own synthetic images, one of made lesions with known
truth. In `make test` two readers sit at the browser and the others answer through the session API; in `make soak` all
readers of all cases are at the browser.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagetranslation.readerstudy.store import FolderStore
from Testing.reading_studies import (
    a_crowd,
    a_study_of_lesions,
    a_study_of_pairs,
    planted_in_lesions,
    report_of,
    require_kept,
    require_planted_difference,
    require_planted_in_pairs,
    rest_reads,
)
from Testing.simulated_lesions import LARGER, RADIUS_MM, SPACING, lesion_places
from Testing.simulated_readers import Crowd, Planted

from .reading_hands import read, study_serve
from .reading_rooms import Physician

pytestmark = pytest.mark.browser
LONG = (pytest.mark.soak, pytest.mark.timeout(3600))
LESION_MM = {"A": (LARGER[2] * SPACING[0], LARGER[1] * SPACING[1])}


def read_in_browser(browser: Any, study: Path, crowd: Crowd, readers: int, size_mm: dict[str, Any]) -> list[Any]:
    """The first so many readers at the served study, the others at none; the browser's entries in the journals."""
    names = crowd.study.readers[:readers]
    meant: dict[tuple[str, str], Any] = {}
    with study_serve(study) as hosted:
        for name in names:
            meant.update(read(Physician.at(browser, hosted.link(name)), hosted, name, crowd, size_mm))
        store = FolderStore(hosted.reading)
    rest_reads(study, crowd, crowd.study.readers[readers:])
    kept = [dict(entry) for name in names for entry in store.history(name).entries if entry["kind"] == "answer"]
    require_kept(meant, kept)
    return kept


@pytest.mark.parametrize(
    ("at_the_browser", "dropout"),
    [(2, {"R1": 3, "R2": 2}), pytest.param(7, {"R7": 20}, marks=LONG)],
    ids=["two of seven readers", "all readers"],
)
def test_the_18_real_pairs_with_the_models_own_images_are_read_and_the_report_finds_what_was_planted(
    browser, prostate_pairs: Path, synthetic_prostates: Path, tmp_path: Path, at_the_browser: int, dropout: dict
) -> None:
    study = a_study_of_pairs(tmp_path, prostate_pairs, synthetic_prostates, 18)
    crowd = a_crowd(study, Planted(dropout=dropout))
    read_in_browser(browser, study, crowd, at_the_browser, {})
    left = ", ".join(f"{reader} left after {count} cases (planted)" for reader, count in dropout.items())
    require_planted_in_pairs(report_of(study, tmp_path / "report", left), crowd.planted)


@pytest.mark.parametrize(
    ("at_the_browser", "positives", "negatives"),
    [(2, 6, 6), pytest.param(5, 30, 30, marks=LONG)],
    ids=["two of five readers, 12 cases", "all readers, 60 cases"],
)
def test_lesions_with_truth_are_rated_and_marked_and_the_report_finds_the_planted_difference(
    browser, tmp_path: Path, at_the_browser: int, positives: int, negatives: int
) -> None:
    study = a_study_of_lesions(tmp_path, positives, negatives)
    crowd = a_crowd(study, planted_in_lesions(study))
    kept = read_in_browser(browser, study, crowd, at_the_browser, LESION_MM)
    require_marks_on_lesions(kept, crowd)
    require_planted_difference(report_of(study, tmp_path / "report"))


def require_marks_on_lesions(kept: list[dict[str, Any]], crowd: Crowd) -> None:
    """A click on a lesion became a point within it, in the millimetres of the image."""
    marks = [entry for entry in kept if entry["question"] == "where"]
    on = 0
    for entry in marks:
        case = crowd.key.trials[entry["token"]][1].case
        if crowd.study.case(case).truth:
            [mark] = entry["new"]
            far = sum((a - b) ** 2 for a, b in zip(mark["point"], lesion_places([case])[case])) ** 0.5
            assert far < RADIUS_MM, entry
            on += 1
    assert on >= 3
