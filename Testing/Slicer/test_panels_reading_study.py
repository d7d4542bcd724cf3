"""Whole studies through the Slicer panel: from `study new` by keys and clicks to the report made of that very folder.

One reader sits at the panel, the others answer through the session API. All are simulated (NOT physicians).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from readings import Hands, read_to_the_end  # noqa: E402

from imagetranslation.readerstudy.readingset import load_reading_set  # noqa: E402
from imagetranslation.readerstudy.store import FolderStore  # noqa: E402
from Testing.reading_studies import (  # noqa: E402
    a_crowd,
    a_study_of_lesions,
    a_study_of_pairs,
    planted_in_lesions,
    report_of,
    require_kept,
    require_planted_difference,
    require_planted_in_pairs,
    rest_reads,
    table,
)
from Testing.simulated_lesions import RADIUS_MM, lesion_places  # noqa: E402
from Testing.simulated_readers import Crowd, Planted  # noqa: E402

LONG = (pytest.mark.soak, pytest.mark.timeout(3600))


@pytest.fixture
def read_at_the_panel(begin_reading, click, press_key, wait_until):
    """`read_at_the_panel(study, crowd)`: R1 reads to the end and leaves, the others follow; R1's entries."""

    def read(study: Path, crowd: Crowd) -> list[dict[str, Any]]:
        panel = begin_reading(study)
        given = read_to_the_end(panel, crowd, "R1", Hands(panel, click, press_key), wait_until, press_key)
        assert panel.ui.progressLabel.text.startswith("All ")
        click(panel.ui.leaveButton)
        rest_reads(study, crowd, crowd.study.readers[1:])
        history = FolderStore(load_reading_set(study)).history("R1")
        kept = [dict(entry) for entry in history.entries if entry["kind"] == "answer"]
        require_kept(given, kept)
        return kept

    return read


@pytest.mark.parametrize("cases", [3, pytest.param(18, marks=LONG)])
def test_real_pairs_with_the_models_own_images_go_through_the_panel_to_the_report(
    read_at_the_panel, prostate_pairs, synthetic_prostates, tmp_path, cases
):
    study = a_study_of_pairs(tmp_path, prostate_pairs, synthetic_prostates, cases)
    crowd = a_crowd(study, Planted())
    read_at_the_panel(study, crowd)
    report = report_of(study, tmp_path / "report")
    assert {row["done"] for row in table(report, "completeness")} == {str(len(crowd.key.schedule.rows["R1"]))}
    if cases == 18:
        require_planted_in_pairs(report, crowd.planted)


@pytest.mark.parametrize(("positives", "negatives"), [(6, 6), pytest.param(30, 30, marks=LONG)])
def test_lesions_are_rated_and_marked_in_the_panel_and_the_report_finds_the_planted_difference(
    read_at_the_panel, tmp_path, positives, negatives
):
    study = a_study_of_lesions(tmp_path, positives, negatives)
    crowd = a_crowd(study, planted_in_lesions(study))
    kept = read_at_the_panel(study, crowd)
    marked = {crowd.key.trials[e["token"]][1].case: e["new"] for e in kept if e["question"] == "where"}
    on = [case for case in marked if crowd.study.case(case).truth]
    assert len(on) >= 3
    for case in on:
        [mark] = marked[case]
        assert sum((a - b) ** 2 for a, b in zip(mark["point"], lesion_places([case])[case])) ** 0.5 < RADIUS_MM
    require_planted_difference(report_of(study, tmp_path / "report"))
