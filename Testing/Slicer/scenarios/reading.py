"""A small study read in both modules: start, answer with clicks and keys, leave; in the application and the harness."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import slicer

from .context import REPOSITORY, Context

QUESTIONS = [
    {"id": "realism", "type": "likert", "text": "How realistic is this image?", "cannot_assess": True,
     "anchors": ["Not at all", "Hardly", "Undecided", "Mostly", "Entirely"]},
    {"id": "artifacts", "type": "yes_no", "text": "Do you see artifacts?"},
    {"id": "kind", "type": "multi_choice", "text": "Which ones?",
     "options": [{"id": "blur", "text": "Blur"}, {"id": "texture", "text": "Wrong texture"}],
     "show_if": {"question": "artifacts", "equals": True}},
    {"id": "confidence", "type": "vas", "text": "How sure are you?", "ends": ["Not at all", "Entirely"]},
    {"id": "place", "type": "place", "text": "Mark the most suspicious place", "required": False},
]  # fmt: skip


def scenario_a_study_is_read_in_us_to_mri(the: Context) -> None:
    _read(the, "US2MRITranslate")


def scenario_a_study_is_read_in_pool_to_delayed(the: Context) -> None:
    _read(the, "PoolToDelayed")


def _read(the: Context, module: str) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        _a_study(folder)
        _read_two_cases(the, the.open_module(module).panel.reading, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read_two_cases(the: Context, panel: Any, folder: Path) -> None:
    earlier = slicer.app.layoutManager().layout
    panel.ui.readingSection.collapsed = False
    panel.ui.readingPath.currentPath, panel.ui.readerEdit.text = str(folder), "R1"
    the.click(panel.ui.startButton)
    the.wait_until(lambda: panel.views is not None and panel.views.slots, 20, "the first case")
    the.process_events()
    view = "ImageTranslationReadingA"
    corner = the.pixels(view)[:40, :300].astype(int)
    assert (corner.min(axis=2) > 200).sum() > 150, "the neutral text is not drawn"
    assert not slicer.util.mainWindow().menuBar().enabled
    for number in range(2):
        the.click(panel.form.editor("realism").buttons[3])
        the.click(panel.form.editor("artifacts").buttons[0])
        the.click(panel.form.editor("kind").buttons[1])
        the.click(panel.form.editor("confidence").scale)
        if number == 0:
            panel.form.editor("place").button.checked = True
            node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSelectionNode").GetActivePlaceNodeID()
            slicer.mrmlScene.GetNodeByID(node).AddControlPointWorld([-9.0, -9.0, 11.0])
            panel.form.editor("place").button.checked = False
        the.screenshot(f"reading_{panel._module}_{number + 1}")
        token = panel.desk.trial.token
        the.click(panel.ui.nextButton)
        the.wait_until(lambda before=token: panel.desk.trial.token != before and panel.form.shown, 20, "the next case")
    the.click(panel.ui.leaveButton)
    assert slicer.app.layoutManager().layout == earlier
    assert slicer.util.mainWindow().menuBar().enabled
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    lines = (folder / "reading" / "answers" / "R1.jsonl").read_text().splitlines()
    given = [(e["question"], e["new"]) for e in map(json.loads, lines) if e["kind"] == "answer"]
    assert [value for key, value in given if key == "realism"] == [4, 4], given
    assert [value for key, value in given if key == "kind"] == [["texture"], ["texture"]], given
    assert all(abs(value - 50) <= 2 for key, value in given if key == "confidence"), given
    assert [value for key, value in given if key == "place"] == [[{"image": "A", "point": [9, 9, 11]}]], given


def _a_study(folder: Path) -> None:
    sys.path.insert(0, str(REPOSITORY))
    from Testing.studies import a_document, a_study

    a_study(folder, a_document(cases=2, questions=QUESTIONS))
