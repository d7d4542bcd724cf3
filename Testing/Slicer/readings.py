"""Questions of every type for the tests of the reading panel, and the hands of a reader who sits at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from standins.pythonqt import unwrap

from imagetranslation.mrml.reading import view_tag
from imagetranslation.readerstudy.questions import CANNOT_ASSESS
from Testing.simulated_readers import SIMULATED, Crowd

BY_KEY = ("likert", "yes_no", "choice")
REALISM_OF_EACH = {
    "id": "realism", "type": "likert", "text": "How realistic?", "each_image": True,
    "anchors": ["Not", "Hardly", "Undecided", "Mostly", "Entirely"],
}  # fmt: skip
FORCED = {"id": "better", "type": "choice", "text": "Which one is sharper?", "images_are_options": True}
RANKED = {"id": "order", "type": "ranking", "text": "Order them", "images_are_options": True}
EVERY_TYPE = [
    {"id": "realism", "type": "likert", "text": "How realistic?", "cannot_assess": True, "help": "As a whole.",
     "anchors": ["Not", "Hardly", "Undecided", "Mostly", "Entirely"]},
    {"id": "artifacts", "type": "yes_no", "text": "Artifacts?"},
    {"id": "kinds", "type": "multi_choice", "text": "Which ones?",
     "options": [{"id": "blur", "text": "Blur"}, {"id": "noise", "text": "Noise"}],
     "show_if": {"question": "artifacts", "equals": True}},
    {"id": "plane", "type": "choice", "text": "Which part?",
     "options": [{"id": "apex", "text": "Apex"}, {"id": "base", "text": "Base"}]},
    {"id": "confidence", "type": "vas", "text": "How sure?", "ends": ["Not at all", "Entirely"]},
    {"id": "size", "type": "number", "text": "How large?", "minimum": 0, "maximum": 90, "unit": "mm"},
    {"id": "place", "type": "place", "text": "Where is it?", "required": False, "cannot_assess": True},
    {"id": "outline", "type": "roi", "text": "Outline it", "required": False},
    {"id": "comment", "type": "text", "text": "Comment?", "required": False},
]  # fmt: skip


class Hands:
    """Answers the form on the screen: by number keys where `press_key` is given, else by the mouse."""

    def __init__(self, panel: Any, click: Callable[[Any], None], press_key: Callable[..., None] | None = None) -> None:
        self._panel, self._click, self._press = panel, click, press_key

    def give(self, item: Any, value: Any) -> Any:
        """Answer one question; returns the answer that a line of that many pixels made of it."""
        editor, kind = self._panel.form.editor(item.key), item.question.type
        if value == CANNOT_ASSESS:
            self._click(self._panel.form.cannot_assess(item.key))
        elif self._press is not None and kind in BY_KEY and self._panel.form.active == item.key:
            self._press(None, str(editor._values.index(value) + 1))
        elif kind in (*BY_KEY, "ranking"):
            for one in value if kind == "ranking" else [value]:
                ids = [option.id for option in item.options] if kind == "ranking" else editor._values
                self._click(editor.buttons[ids.index(one)])
        elif kind == "multi_choice":
            for option, button in zip(item.options, editor.buttons):
                if option.id in value:
                    self._click(button)
        elif kind == "vas":
            click_across(editor.scale, value / 100)
            return editor._value
        elif kind == "place":
            self._click(editor.button)
            for mark in value:
                click_place(mark["image"], mark["point"])
            self._click(editor.button)
        elif kind == "number":
            editor.line.text = f"{value:g}"
            editor.commit()
        else:
            editor.edit.setPlainText(value)
            editor.commit()
        return value


def click_across(line: Any, share: float) -> None:
    """Click a line at a share of its width."""
    native = unwrap(line)
    place = QPoint(round(share * (native.width() - 1)), native.height() // 2)
    QTest.mouseClick(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    slicer.app.processEvents()


def click_place(slot: str, point: list[float]) -> None:
    """Click a place (LPS mm) in the view of an image, in the slice on the screen."""
    import vtk

    widget = slicer.app.layoutManager().sliceWidget(view_tag(slot))
    back = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(widget.mrmlSliceNode().GetXYToRAS(), back)
    x, y = (round(v) for v in back.MultiplyPoint((-point[0], -point[1], point[2], 1.0))[:2])
    interactor = widget.sliceView().interactor()
    for event in ("EnterEvent", "MouseMoveEvent", "LeftButtonPressEvent", "LeftButtonReleaseEvent"):
        interactor.SetEventInformation(x, y)
        interactor.InvokeEvent(event)
    slicer.app.processEvents()


def read_to_the_end(
    panel: Any, crowd: Crowd, name: str, hands: Hands, wait_until: Callable[..., Any], press_key: Callable[..., None]
) -> dict[tuple[str, str], Any]:
    """All cases of a simulated reader (NOT a physician): (trial token, question) to the answer that was given."""
    reader, state = crowd.of(name), panel.desk._view
    panel.desk._view = lambda: {**state(), **SIMULATED}
    given: dict[tuple[str, str], Any] = {}
    while panel.desk.trial is not None:
        trial, asked = panel.desk.trial, set()
        planned = crowd.key.trials[trial.token][1]
        while left := [item for item in panel.desk.session.form if item.key not in asked]:
            asked.add(left[0].key)
            value = reader.answer(left[0], planned, crowd.study.case(planned.case).truth)
            if value is not None:
                given[trial.token, left[0].key] = hands.give(left[0], value)
        press_key(None, "Return")
        wait_until(lambda t=trial: panel.desk.trial is None or (panel.desk.trial is not t and panel.form.shown), 60)
    return given
