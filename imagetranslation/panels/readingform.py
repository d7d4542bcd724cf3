"""The form of one case: a frame for each question, which are shown, which one the keyboard answers. Imports `qt`.

What answers mean and which are missing is `readerstudy.session`'s matter; the inputs are `readingeditors`'.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import qt
from slicer.i18n import tr as _

from ..readerstudy.questions import CANNOT_ASSESS, Item, answer_for_key
from .readingeditors import Editor, editor_for
from .signal import Signal

_PLAIN = "QFrame#row { border: 1px solid palette(mid); border-radius: 4px; }"
_ACTIVE = "QFrame#row { border: 2px solid #2f81f7; border-radius: 4px; }"


@dataclass
class _Row:
    item: Item
    frame: Any
    editor: Editor
    cannot: Any
    parts: list[Any]


class Form:
    """answered: emitted with (key, answer) when the reader answers, None where an answer is taken back."""

    def __init__(self, container: Any) -> None:
        self.answered = Signal()
        self._layout = container.layout()
        self._rows: dict[str, _Row] = {}
        self._shown: tuple[str, ...] = ()
        self._answers: dict[str, Any] = {}
        self.active = ""

    @property
    def shown(self) -> tuple[str, ...]:
        """Keys of the questions on the screen, in order."""
        return self._shown

    def build(self, items: Sequence[Item], marks_for: Callable[[Item, Callable[[], object]], Any]) -> None:
        """Make the form of a case, all questions hidden. marks_for: gives what marks in the views for an item."""
        self.clear()
        for item in items:
            editor = editor_for(item, _marks(item, marks_for, functools.partial(self._onMarked, item.key)))
            row = self._frame(item, editor)
            editor.changed.connect(functools.partial(self._onChanged, item.key))
            self._rows[item.key] = row
            self._layout.addWidget(row.frame)
            row.frame.visible = False

    def update(self, shown: Iterable[str], answers: Mapping[str, Any], fresh: bool = False) -> None:
        """Show these questions with these answers. fresh: another case; otherwise inputs in use are left alone."""
        earlier, self._shown, self._answers = self._shown, tuple(shown), dict(answers)
        for key, row in self._rows.items():
            visible = key in self._shown
            row.frame.visible = visible
            if fresh or visible != (key in earlier):
                self._fill(row, self._answers.get(key) if visible else None)
        if self.active not in self._shown:
            self.activate(self._first_open() or next(iter(self._shown), ""))

    def activate(self, key: str, look: bool = False) -> None:
        """Let the keyboard answer this question. look: also scroll to it."""
        self.active = key
        for own, row in self._rows.items():
            row.frame.styleSheet = _ACTIVE if own == key else _PLAIN
        if look:
            self.look()

    def look(self) -> None:
        """Scroll to the question that the keyboard answers."""
        if self.active in self._rows:
            _scroll_to(self._rows[self.active].frame)

    def step(self, by: int) -> None:
        """The next (1) or earlier (-1) question."""
        if self._shown:
            now = self._shown.index(self.active) if self.active in self._shown else 0
            self.activate(self._shown[min(len(self._shown) - 1, max(0, now + by))], look=True)

    def move(self, by: int) -> None:
        """An arrow to the right (1) or left (-1) for the active question."""
        if self.active in self._shown:
            self._rows[self.active].editor.move(by)

    def moves(self) -> bool:
        """Whether arrows to the right and left mean something to the active question."""
        return self.active in self._shown and self._rows[self.active].item.question.type == "vas"

    def press(self, digit: str) -> None:
        """Answer the active question by a number key and go on to the next open one."""
        if self.active not in self._shown:
            return
        row = self._rows[self.active]
        value = answer_for_key(row.item, digit)
        if value is None:
            return
        self._fill(row, value)
        here = self.active
        self._onChanged(here, value)
        self.activate(self._first_open(after=here) or here, look=True)

    @property
    def typing(self) -> bool:
        """Whether something is typed and not told yet."""
        return any(self._rows[key].editor.typing for key in self._shown)

    def commit(self) -> None:
        """Let every input tell what was typed and not told yet."""
        for key in self._shown:
            self._rows[key].editor.commit()

    def clear(self) -> None:
        """Remove all questions."""
        for row in self._rows.values():
            row.editor.close()
            row.frame.visible = False
            self._layout.removeWidget(row.frame)
            row.frame.deleteLater()
        self._rows, self._shown, self._answers, self.active = {}, (), {}, ""

    def editor(self, key: str) -> Editor:
        """The input of a question."""
        return self._rows[key].editor

    def cannot_assess(self, key: str) -> Optional[Any]:
        """The check box "cannot assess" of a question, None where it has none."""
        return self._rows[key].cannot

    def _frame(self, item: Item, editor: Editor) -> _Row:
        frame = qt.QFrame()
        frame.objectName = "row"
        column = qt.QVBoxLayout()
        column.setContentsMargins(8, 6, 8, 6)
        column.setSpacing(3)
        frame.setLayout(column)
        question = item.question
        head = f"{_('Image {slot}').format(slot=item.slot)}: " if "@" in item.key else ""
        title = qt.QLabel(head + question.text + (" *" if question.required else _("  (optional)")))
        title.objectName = f"{item.key}:title"
        title.textFormat = qt.Qt.PlainText
        title.wordWrap = True
        title.styleSheet = "font-weight: bold;"
        parts: list[Any] = [column, title]
        if question.help:
            hint = qt.QLabel(question.help)
            hint.textFormat = qt.Qt.PlainText
            hint.wordWrap = True
            parts.append(hint)
        for part in parts[1:]:
            column.addWidget(part)
        column.addWidget(editor.widget)
        cannot = None
        if question.cannot_assess:
            cannot = qt.QCheckBox(_("Cannot assess"))
            cannot.objectName = f"{item.key}:cannot"
            cannot.connect("clicked(bool)", functools.partial(self._onCannot, item.key))
            column.addWidget(cannot)
        frame.styleSheet = _PLAIN
        return _Row(item, frame, editor, cannot, parts)

    def _fill(self, row: _Row, value: Any) -> None:
        cannot = value == CANNOT_ASSESS and isinstance(value, dict)
        if row.cannot is not None:
            row.cannot.checked = cannot
            row.editor.widget.enabled = not cannot
        row.editor.show(None if cannot else value)

    def _onChanged(self, key: str, value: Any) -> None:
        self.active = key
        self._answers[key] = value
        self.activate(key)
        self.answered(key, value)

    def _onCannot(self, key: str, on: bool) -> None:
        row = self._rows[key]
        row.editor.show(None)
        row.editor.widget.enabled = not on
        self._onChanged(key, dict(CANNOT_ASSESS) if on else None)

    def _onMarked(self, key: str) -> None:
        row = self._rows.get(key)
        if row is not None:
            row.editor.onMarked()  # type: ignore[attr-defined]

    def _first_open(self, after: str = "") -> str:
        """The next question without an answer behind `after`, then from the top; "" where all have one."""
        start = self._shown.index(after) + 1 if after in self._shown else 0
        keys = [*self._shown[start:], *self._shown[:start]]
        return next((key for key in keys if self._answers.get(key) is None), "")


def _marks(item: Item, marks_for: Callable[..., Any], changed: Callable[[], object]) -> Any:
    return marks_for(item, changed) if item.question.type in ("place", "roi") else None


def _scroll_to(frame: Any) -> None:
    parent = frame.parent()
    while parent is not None:
        if parent.inherits("QScrollArea"):
            parent.ensureWidgetVisible(frame)
            return
        parent = parent.parent()
