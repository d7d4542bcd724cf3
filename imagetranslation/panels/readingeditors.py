"""The inputs of a reading form, one class for each way to answer; none has an answer before the reader gives one.

Imports `qt`. An editor shows an answer (`show`), tells of a new one (`changed`), and gives what is typed but not told
yet (`commit`). Questions and keys are `readerstudy.questions`' matter, frame and order `readingform`'s.
"""

from __future__ import annotations

from typing import Any, Optional

import qt
from slicer.i18n import tr as _

from ..errors import InputError
from ..readerstudy.questions import Item, steps
from .signal import Signal

TYPING_PAUSE_MS = 700
_NO_HANDLE = "QSlider::handle:horizontal { background: transparent; border: none; width: 9px; }"


class Editor:
    """One question's input. widget: goes into the form. changed: emitted with the new answer, None for none."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.changed = Signal()
        self.widget = qt.QWidget()
        self.layout = qt.QVBoxLayout()
        self.layout.setContentsMargins(0, 0, 0, 0)
        self.layout.setSpacing(2)
        self.widget.setLayout(self.layout)

    def show(self, value: Any) -> None:
        """Show an answer, None for none, without telling of it."""
        raise NotImplementedError

    @property
    def typing(self) -> bool:
        """Whether something is typed and not told yet."""
        return False

    def commit(self) -> None:
        """Tell of what was typed and not told yet."""

    def move(self, by: int) -> None:
        """An arrow to the right (1) or left (-1)."""

    def close(self) -> None:
        """The case is left."""


class ChoiceEditor(Editor):
    """Likert steps with their anchors, yes and no, or options: radio buttons in a column."""

    def __init__(self, item: Item) -> None:
        super().__init__(item)
        self._values, texts = _choices(item)
        self._group = qt.QButtonGroup(self.widget)
        self.buttons = [qt.QRadioButton(text) for text in texts]
        for number, button in enumerate(self.buttons):
            button.objectName = f"{item.key}:{number + 1}"
            self._group.addButton(button)
            self.layout.addWidget(button)
            button.connect("clicked(bool)", self.onClicked)

    def show(self, value: Any) -> None:
        """See Editor."""
        self._group.setExclusive(False)
        for button, own in zip(self.buttons, self._values):
            button.checked = value == own and type(value) is type(own)
        self._group.setExclusive(True)

    def onClicked(self, *_arguments: object) -> None:
        """A step was chosen."""
        self.changed(next(own for own, button in zip(self._values, self.buttons) if button.checked))


class SeveralEditor(Editor):
    """Any number of options, or none of them, which is an answer too."""

    def __init__(self, item: Item) -> None:
        super().__init__(item)
        self.buttons = [qt.QCheckBox(option.text) for option in item.options]
        self.none = qt.QCheckBox(_("None of these"))
        for number, button in enumerate([*self.buttons, self.none]):
            button.objectName = f"{item.key}:{number + 1}"
            self.layout.addWidget(button)
        for button in self.buttons:
            button.connect("clicked(bool)", self.onClicked)
        self.none.connect("clicked(bool)", self.onNone)

    def show(self, value: Any) -> None:
        """See Editor."""
        chosen = value if isinstance(value, list) else []
        for button, option in zip(self.buttons, self.item.options):
            button.checked = option.id in chosen
        self.none.checked = value == []

    def onClicked(self, *_arguments: object) -> None:
        """An option was ticked or unticked."""
        self.none.checked = False
        chosen = [option.id for option, button in zip(self.item.options, self.buttons) if button.checked]
        self.changed(chosen or None)

    def onNone(self, on: bool) -> None:
        """None of them."""
        for button in self.buttons:
            button.checked = False
        self.changed([] if on else None)


class AnalogueScale(qt.QSlider):
    """A slider that goes where it is clicked and has no handle before."""

    def __init__(self, moved: Any, chosen: Any) -> None:
        qt.QSlider.__init__(self, qt.Qt.Horizontal)
        self.minimum, self.maximum = 0, 100
        self.focusPolicy = qt.Qt.NoFocus
        self._moved, self._chosen = moved, chosen

    def mousePressEvent(self, event: Any) -> None:
        """Go there."""
        self._go(event)

    def mouseMoveEvent(self, event: Any) -> None:
        """Follow."""
        self._go(event)

    def mouseReleaseEvent(self, _event: Any) -> None:
        """That is the answer."""
        self._chosen()

    def _go(self, event: Any) -> None:
        share = event.pos().x() / max(1, self.width - 1)
        self._moved(round(100 * min(1.0, max(0.0, share))))


class AnalogueEditor(Editor):
    """A visual analogue scale from 0 to 100 with a text at each end."""

    def __init__(self, item: Item) -> None:
        super().__init__(item)
        self.scale = AnalogueScale(self.onMoved, self.onChosen)
        self.scale.objectName = item.key
        self._value: Optional[float] = None
        row = qt.QHBoxLayout()
        low, high = item.question.ends
        self._number = qt.QLabel()
        self._ends = (qt.QLabel(low or "0"), qt.QLabel(high or "100"))
        for widget, stretch in ((self._ends[0], 0), (self.scale, 1), (self._ends[1], 0)):
            row.addWidget(widget, stretch)
        self._row = row
        self.layout.addLayout(row)
        self.layout.addWidget(self._number)
        self.show(None)

    def show(self, value: Any) -> None:
        """See Editor."""
        self._value = value if isinstance(value, (int, float)) else None
        self.scale.styleSheet = "" if self._value is not None else _NO_HANDLE
        self.scale.value = round(self._value or 0)
        self._number.text = _("Not set: click on the line") if self._value is None else f"{self._value:g}"

    def onMoved(self, value: int) -> None:
        """The mouse is held at a place."""
        self.show(value)

    def onChosen(self) -> None:
        """The mouse was let go."""
        if self._value is not None:
            self.changed(self._value)

    def move(self, by: int) -> None:
        """See Editor; the first arrow sets the middle."""
        self.show(50 if self._value is None else min(100, max(0, self._value + by)))
        self.changed(self._value)


class RankingEditor(Editor):
    """Buttons that are pressed best first; pressed again, one is taken out."""

    def __init__(self, item: Item) -> None:
        super().__init__(item)
        self._order: list[str] = []
        self.layout.addWidget(qt.QLabel(_("Press the best first, then the second best, and so on.")))
        self.buttons = [qt.QPushButton(option.text) for option in item.options]
        for button, option in zip(self.buttons, item.options):
            button.objectName = f"{item.key}:{option.id}"
            button.checkable = True
            self.layout.addWidget(button)
            button.connect("clicked(bool)", self.onClicked)

    def show(self, value: Any) -> None:
        """See Editor."""
        self._order = list(value) if isinstance(value, list) else []
        self._write()

    def onClicked(self, *_arguments: object) -> None:
        """One was put behind the others or taken out."""
        pressed = [option.id for option, button in zip(self.item.options, self.buttons) if button.checked]
        whole = len(self._order) == len(self.buttons)
        self._order = [one for one in self._order if one in pressed]
        self._order += [one for one in pressed if one not in self._order]
        self._write()
        if len(self._order) == len(self.buttons):
            self.changed(list(self._order))
        elif whole:
            self.changed(None)

    def _write(self) -> None:
        for option, button in zip(self.item.options, self.buttons):
            place = self._order.index(option.id) + 1 if option.id in self._order else 0
            button.checked = bool(place)
            button.text = f"{place}. {option.text}" if place else option.text


class NumberEditor(Editor):
    """A number, typed."""

    def __init__(self, item: Item) -> None:
        super().__init__(item)
        self.line = qt.QLineEdit()
        self.line.objectName = item.key
        self.line.connect("editingFinished()", self.commit)
        row = qt.QHBoxLayout()
        row.addWidget(self.line)
        row.addWidget(qt.QLabel(item.question.unit))
        self._row = row
        self.layout.addLayout(row)
        self._told = ""

    def show(self, value: Any) -> None:
        """See Editor."""
        self._told = f"{value:.15g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
        self.line.text = value if isinstance(value, str) else self._told

    @property
    def typing(self) -> bool:
        """See Editor."""
        return bool(self.line.text.strip() != self._told)

    def commit(self) -> None:
        """See Editor; what is no number is told as it is, and refused with a sentence."""
        text = self.line.text.strip()
        if text == self._told:
            return
        self._told = text
        try:
            self.changed(float(text.replace(",", ".")) if text else None)
        except ValueError:
            self.changed(text)


class TextEditor(Editor):
    """Free text; told when the reader stops typing."""

    def __init__(self, item: Item) -> None:
        super().__init__(item)
        self.edit = qt.QPlainTextEdit()
        self.edit.objectName = item.key
        self.edit.tabChangesFocus = True
        self.edit.setMaximumHeight(70)
        self.edit.connect("textChanged()", self.onTyped)
        self.layout.addWidget(self.edit)
        self._told = ""
        self._pause = qt.QTimer(self.widget)
        self._pause.setSingleShot(True)
        self._pause.setInterval(TYPING_PAUSE_MS)
        self._pause.connect("timeout()", self.commit)

    def show(self, value: Any) -> None:
        """See Editor."""
        self._told = value if isinstance(value, str) else ""
        blocked = self.edit.blockSignals(True)
        self.edit.setPlainText(self._told)
        self.edit.blockSignals(blocked)

    def onTyped(self) -> None:
        """A key."""
        self._pause.start()

    def commit(self) -> None:
        """See Editor."""
        self._pause.stop()
        text = self.edit.plainText
        if text != self._told:
            self._told = text
            self.changed(text if text.strip() else None)

    def close(self) -> None:
        """See Editor."""
        self._pause.stop()


class MarksEditor(Editor):
    """Points or outlines placed in the views. marks: a `mrml.readingmarks.Marks` whose `changed` calls `onMarked`."""

    def __init__(self, item: Item, marks: Any) -> None:
        super().__init__(item)
        self.marks = marks
        outlines = item.question.type == "roi"
        self._idle = _("Draw an outline") if outlines else _("Place points")
        self.button = qt.QPushButton(self._idle)
        self.button.objectName = f"{item.key}:place"
        self.button.checkable = True
        self.remove = qt.QPushButton(_("Remove all"))
        self.remove.objectName = f"{item.key}:remove"
        self._count = qt.QLabel()
        row = qt.QHBoxLayout()
        for widget in (self.button, self.remove, self._count):
            row.addWidget(widget)
        self._row = row
        self.layout.addLayout(row)
        self.button.connect("toggled(bool)", self.onToggled)
        self.remove.connect("clicked(bool)", self.onRemove)

    def show(self, value: Any) -> None:
        """See Editor."""
        self.button.checked = False
        self.marks.load(value if isinstance(value, list) else None)
        self._write()

    def onToggled(self, on: bool) -> None:
        """Begin or end placing."""
        self.button.text = _("Done") if on else self._idle
        if on:
            self.marks.start()
        else:
            self.marks.stop()

    def onMarked(self) -> None:
        """The reader has placed, moved or removed a point."""
        self._write()
        self.changed(self.marks.value())

    def onRemove(self, *_arguments: object) -> None:
        """The button."""
        self.button.checked = False
        self.marks.clear()
        self._write()
        self.changed(None)

    def close(self) -> None:
        """See Editor."""
        self.button.checked = False
        self.marks.clear()

    def _write(self) -> None:
        count = len(self.marks.value() or ())
        self._count.text = _("nothing marked") if not count else _("{n} marked").format(n=count)


def editor_for(item: Item, marks: Any = None) -> Editor:
    """The editor for an item; `marks` where it is answered in the views."""
    kinds: dict[str, Any] = {
        "likert": ChoiceEditor, "yes_no": ChoiceEditor, "choice": ChoiceEditor, "multi_choice": SeveralEditor,
        "vas": AnalogueEditor, "ranking": RankingEditor, "number": NumberEditor, "text": TextEditor,
    }  # fmt: skip
    if item.question.type in kinds:
        made: Editor = kinds[item.question.type](item)
        return made
    if marks is None:
        raise InputError(f'"{item.question.text}" is answered in the views, and there are none.')
    return MarksEditor(item, marks)


def _choices(item: Item) -> tuple[list[Any], list[str]]:
    """Stored values and texts, each text with the key that gives it."""
    question = item.question
    if question.type == "likert":
        return list(steps(question)), [f"{n}  {text}" for n, text in zip(steps(question), question.anchors)]
    if question.type == "yes_no":
        return [True, False], [_("1  Yes"), _("2  No")]
    numbered = [f"{n + 1}  {o.text}" if n < 9 else o.text for n, o in enumerate(item.options)]
    return [o.id for o in item.options], numbered
