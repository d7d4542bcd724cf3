"""Which widget can show which type, and how a value goes in and out of it.

The pairs and their demands (a combo box needs a Choice or an enum, a slider needs bounds) are those of Slicer.
"""

from __future__ import annotations

import enum
import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ctk
import qt
import slicer

from .serializers import FloatRange, node_types, split
from .validators import Choice, Maximum, Minimum, RangeBounds, WithinRange


@dataclass
class Decimals:
    """Decimals a widget shows."""

    value: int


@dataclass
class SingleStep:
    """Step of a widget's arrows."""

    value: float


class GuiConnector:
    """One widget and one value: subclasses read and write, and name the signal that says the person changed it."""

    signal = ""

    def __init__(self, widget: Any, datatype: Any) -> None:
        self._widget = widget
        self._type, self._annotations = split(datatype)
        self._callback: Callable[[], None] | None = None
        self.prepare()

    def prepare(self) -> None:
        """Fit the widget to the annotations."""

    def annotation(self, kind: type) -> Any:
        return next((a for a in self._annotations if isinstance(a, kind)), None)

    def onChanged(self, callback: Callable[[], None] | None) -> None:
        self._callback = callback
        if self.signal:
            signal = getattr(self._widget, self.signal)
            signal.disconnect(self.changed) if callback is None else signal.connect(self.changed)

    def changed(self) -> None:
        if self._callback:
            self._callback()

    def widget(self) -> Any:
        return self._widget

    def read(self) -> Any:
        raise NotImplementedError

    def write(self, value: Any) -> None:
        raise NotImplementedError


class _Property(GuiConnector):
    """A value that is one Qt property of the widget."""

    property_name = ""

    def read(self) -> Any:
        value = getattr(self._widget, self.property_name)
        return self._type(value) if self._type is not bool else value

    def write(self, value: Any) -> None:
        shown = getattr(self._widget, self.property_name)
        new = str(value) if isinstance(value, (str, pathlib.PurePath)) else value
        if shown != new:
            setattr(self._widget, self.property_name, new)


class _CheckBox(_Property):
    signal, property_name = "stateChanged", "checked"


class _CheckableButton(_Property):
    signal, property_name = "toggled", "checked"

    def prepare(self) -> None:
        self._widget.checkable = True


class _Number(_Property):
    signal, property_name = "valueChanged", "value"

    def prepare(self) -> None:
        bounds, low, high = self.annotation(WithinRange), self.annotation(Minimum), self.annotation(Maximum)
        bounded = bounds is not None or (low is not None and high is not None)
        if type(self._widget) in (qt.QSlider, ctk.ctkSliderWidget, slicer.qMRMLSliderWidget) and not bounded:
            raise RuntimeError("Cannot have a connection to a slider where the number is unbounded.")
        spin = type(self._widget) in (qt.QSpinBox, qt.QSlider)
        decimals, step = self.annotation(Decimals), self.annotation(SingleStep)
        if not spin and self._type is int:
            self._widget.decimals = 0
        elif decimals is not None:
            self._widget.decimals = decimals.value
        if step is not None:
            self._widget.singleStep = step.value
        limit = 2**31 - 1 if spin else float("inf")
        self._widget.minimum = bounds.minimum if bounds else low.minimum if low else (-limit - 1 if spin else -limit)
        self._widget.maximum = bounds.maximum if bounds else high.maximum if high else limit


class _Choices(GuiConnector):
    signal = "currentIndexChanged"

    def prepare(self) -> None:
        if isinstance(self._type, type) and issubclass(self._type, enum.Enum):
            label = getattr(self._type, "label", lambda member: member.name)
            self._entries = [(label(member), member) for member in self._type]
        else:
            choice = self.annotation(Choice)
            if choice is None:
                raise RuntimeError("A combo box needs the Choice annotation to be connected to a value.")
            self._entries = [(str(value), value) for value in choice.choices]
        self._widget.clear()
        for text, _ in self._entries:
            self._widget.addItem(text)

    def read(self) -> Any:
        return self._entries[self._widget.currentIndex][1]

    def write(self, value: Any) -> None:
        values = [entry for _, entry in self._entries]
        if value not in values:
            raise ValueError(f"Unable to find value {value} in choices {values}")
        self._widget.currentIndex = values.index(value)


class _LineEdit(_Property):
    signal, property_name = "textChanged", "text"


class _Label(_Property):
    property_name = "text"


class _TextEdit(GuiConnector):
    signal = "textChanged"

    def read(self) -> str:
        return self._widget.toPlainText()

    def write(self, value: str) -> None:
        if self._widget.toPlainText() != value:
            self._widget.setPlainText(value)


class _PathLineEdit(_Property):
    signal, property_name = "currentPathChanged", "currentPath"


class _DirectoryButton(_Property):
    signal, property_name = "directoryChanged", "directory"


class _Node(GuiConnector):
    signal = "currentNodeChanged"

    def prepare(self) -> None:
        self._widget.nodeTypes = node_types(self._type)

    def read(self) -> Any:
        return self._widget.currentNode()

    def write(self, value: Any) -> None:
        self._widget.setCurrentNode(value)


class _Range(GuiConnector):
    signal = "valuesChanged"

    def prepare(self) -> None:
        bounds = self.annotation(RangeBounds)
        if bounds is None:
            raise RuntimeError("Cannot connect a range widget to an unbounded range. Add a RangeBounds annotation.")
        self._widget.setRange(bounds.minimum, bounds.maximum)

    def read(self) -> FloatRange:
        return FloatRange(self._widget.minimumValue, self._widget.maximumValue)

    def write(self, value: FloatRange) -> None:
        self._widget.setValues(value.minimum, value.maximum)


def createGuiConnector(widget: Any, datatype: Any) -> GuiConnector:
    """The connector for a widget and a type; RuntimeError if Slicer has none for the pair."""
    plain, _ = split(datatype)
    for widgets, accepts, connector in _table():
        if type(widget) in widgets and accepts(plain):
            return connector(widget, datatype)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{datatype}' to widget type '{type(widget)}'.")


def _table() -> list[tuple[tuple, Callable[[Any], bool], type[GuiConnector]]]:
    def is_path(t: Any) -> bool:
        return isinstance(t, type) and issubclass(t, pathlib.PurePath)

    def is_enum(t: Any) -> bool:
        return isinstance(t, type) and issubclass(t, enum.Enum)

    combos = (qt.QComboBox, ctk.ctkComboBox)
    floats = (qt.QDoubleSpinBox, ctk.ctkSliderWidget, slicer.qMRMLSliderWidget, ctk.ctkDoubleSpinBox)
    return [
        ((qt.QCheckBox,), lambda t: t is bool, _CheckBox),
        ((qt.QPushButton,), lambda t: t is bool, _CheckableButton),
        ((qt.QSlider, qt.QSpinBox), lambda t: t is int, _Number),
        (floats, lambda t: t in (int, float), _Number),
        (combos, lambda t: t in (int, float, str, bool) or is_enum(t), _Choices),
        ((qt.QLineEdit,), lambda t: t is str, _LineEdit),
        ((qt.QLabel,), lambda t: t is str, _Label),
        ((qt.QTextEdit,), lambda t: t is str, _TextEdit),
        ((ctk.ctkRangeWidget,), lambda t: t is FloatRange, _Range),
        ((ctk.ctkPathLineEdit,), is_path, _PathLineEdit),
        ((ctk.ctkDirectoryButton,), is_path, _DirectoryButton),
        ((slicer.qMRMLNodeComboBox,), lambda t: node_types(t) is not None, _Node),
    ]
