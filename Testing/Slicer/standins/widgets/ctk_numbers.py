"""CTK's number inputs: a slider with a spin box, a range of two, and the double spin box."""

from __future__ import annotations

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSlider, QWidget

from ..pythonqt import invokable
from .storage import stored


def _number(getter: str, setter: str) -> Property:
    def write(self: ctkSliderWidget, value: float) -> None:
        getattr(self._spin, setter)(value)
        self._fit_slider()

    return Property("double", lambda self: getattr(self._spin, getter)(), write)


class ctkSliderWidget(QWidget):
    """One number: slider and spin box together."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    decimalsChanged = Signal(int)
    pageStep = stored("double", 10.0)
    tickInterval = stored("double", 0.0)
    popupSlider = stored("bool", False)
    invertedAppearance = stored("bool", False)
    invertedControls = stored("bool", False)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tracking = True
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._spin = QDoubleSpinBox(self)
        self._spin.setMaximum(99.99)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider)
        row.addWidget(self._spin)
        self._fit_slider()
        self._slider.valueChanged.connect(lambda n: self._spin.setValue(self._spin.minimum() + n * self.singleStep))
        self._spin.valueChanged.connect(self._spin_changed)
        self._slider.sliderReleased.connect(lambda: None if self._tracking else self.valueChanged.emit(self.value))

    def _spin_changed(self, value: float) -> None:
        self._slider.blockSignals(True)
        self._slider.setValue(round((value - self._spin.minimum()) / self.singleStep))
        self._slider.blockSignals(False)
        self.valueIsChanging.emit(value)
        if self._tracking or not self._slider.isSliderDown():
            self.valueChanged.emit(value)

    def _fit_slider(self) -> None:
        self._slider.blockSignals(True)
        steps = (self._spin.maximum() - self._spin.minimum()) / max(self._spin.singleStep(), 1e-9)
        self._slider.setRange(0, round(min(steps, 2**30)))
        self._slider.setValue(round((self._spin.value() - self._spin.minimum()) / self._spin.singleStep()))
        self._slider.blockSignals(False)

    minimum = _number("minimum", "setMinimum")
    maximum = _number("maximum", "setMaximum")
    singleStep = _number("singleStep", "setSingleStep")

    @invokable
    def setValue(self, value: float) -> None:
        self._spin.setValue(value)

    value = Property("double", lambda self: self._spin.value(), setValue)

    @invokable
    def setDecimals(self, decimals: int) -> None:
        self._spin.setDecimals(decimals)
        self.decimalsChanged.emit(decimals)

    decimals = Property("int", lambda self: self._spin.decimals(), setDecimals, notify=decimalsChanged)
    prefix = Property("QString", lambda self: self._spin.prefix(), lambda self, text: self._spin.setPrefix(text))
    suffix = Property("QString", lambda self: self._spin.suffix(), lambda self, text: self._spin.setSuffix(text))

    def _set_tracking(self, tracking: bool) -> None:
        self._tracking = tracking

    tracking = Property("bool", lambda self: self._tracking, _set_tracking)

    @invokable
    def setSpinBoxVisible(self, shown: bool) -> None:
        self._spin.setVisible(shown)

    spinBoxVisible = Property("bool", lambda self: not self._spin.isHidden(), setSpinBoxVisible)

    @invokable
    def reset(self) -> None:
        self.setValue(0.0)


class ctkDoubleSpinBox(QWidget):
    """A double spin box; a QWidget around one, as in CTK."""

    valueChanged = Signal(float)
    editingFinished = Signal()
    decimalsChanged = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._spin = QDoubleSpinBox(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._spin)
        self._spin.valueChanged.connect(self.valueChanged)
        self._spin.editingFinished.connect(self.editingFinished)

    @invokable
    def setValue(self, value: float) -> None:
        self._spin.setValue(value)

    @invokable
    def setDecimals(self, decimals: int) -> None:
        self._spin.setDecimals(decimals)
        self.decimalsChanged.emit(decimals)

    @invokable
    def setReadOnly(self, read_only: bool) -> None:
        self._spin.setReadOnly(read_only)

    @invokable
    def stepUp(self) -> None:
        self._spin.stepUp()

    @invokable
    def stepDown(self) -> None:
        self._spin.stepDown()

    value = Property("double", lambda self: self._spin.value(), setValue, notify=valueChanged, user=True)
    decimals = Property("int", lambda self: self._spin.decimals(), setDecimals, notify=decimalsChanged)
    readOnly = Property("bool", lambda self: self._spin.isReadOnly(), setReadOnly)
    minimum = Property("double", lambda self: self._spin.minimum(), lambda self, v: self._spin.setMinimum(v))
    maximum = Property("double", lambda self: self._spin.maximum(), lambda self, v: self._spin.setMaximum(v))
    singleStep = Property("double", lambda self: self._spin.singleStep(), lambda self, v: self._spin.setSingleStep(v))
    prefix = Property("QString", lambda self: self._spin.prefix(), lambda self, text: self._spin.setPrefix(text))
    suffix = Property("QString", lambda self: self._spin.suffix(), lambda self, text: self._spin.setSuffix(text))


class ctkRangeWidget(QWidget):
    """Two numbers in order: two spin boxes (and, in CTK, a slider with two handles)."""

    minimumValueChanged = Signal(float)
    maximumValueChanged = Signal(float)
    minimumValueIsChanging = Signal(float)
    maximumValueIsChanging = Signal(float)
    valuesChanged = Signal(float, float)
    rangeChanged = Signal(float, float)
    tickInterval = stored("double", 0.0)
    tracking = stored("bool", True)
    symmetricMoves = stored("bool", False)
    autoSpinBoxWidth = stored("bool", True)
    prefix = stored("QString", "")
    suffix = stored("QString", "")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = QDoubleSpinBox(self), QDoubleSpinBox(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for spin in (self._low, self._high):
            spin.setRange(0.0, 99.0)
            row.addWidget(spin)
        self._high.setValue(99.0)
        self._last = (0.0, 99.0)
        self._low.valueChanged.connect(lambda v: self.setMinimumValue(v))
        self._high.valueChanged.connect(lambda v: self.setMaximumValue(v))

    @invokable
    def setRange(self, minimum: float, maximum: float) -> None:
        for spin in (self._low, self._high):
            spin.setRange(minimum, maximum)
        self.rangeChanged.emit(minimum, maximum)

    @invokable
    def setValues(self, low: float, high: float) -> None:
        low, high = min(low, high), max(low, high)
        for spin, value in ((self._low, low), (self._high, high)):
            spin.blockSignals(True)
            spin.setValue(value)
            spin.blockSignals(False)
        now = (self._low.value(), self._high.value())
        before, self._last = self._last, now
        if now[0] != before[0]:
            self.minimumValueIsChanging.emit(now[0])
            self.minimumValueChanged.emit(now[0])
        if now[1] != before[1]:
            self.maximumValueIsChanging.emit(now[1])
            self.maximumValueChanged.emit(now[1])
        if now != before:
            self.valuesChanged.emit(*now)

    @invokable
    def setMinimumValue(self, value: float) -> None:
        self.setValues(min(value, self._high.value()), self._high.value())

    @invokable
    def setMaximumValue(self, value: float) -> None:
        self.setValues(self._low.value(), max(value, self._low.value()))

    @invokable
    def setDecimals(self, decimals: int) -> None:
        for spin in (self._low, self._high):
            spin.setDecimals(decimals)

    @invokable
    def reset(self) -> None:
        self.setValues(self.minimum, self.maximum)

    minimumValue = Property("double", lambda self: self._low.value(), setMinimumValue)
    maximumValue = Property("double", lambda self: self._high.value(), setMaximumValue)
    decimals = Property("int", lambda self: self._low.decimals(), setDecimals)
    minimum = Property("double", lambda self: self._low.minimum(), lambda self, v: self.setRange(v, self.maximum))
    maximum = Property("double", lambda self: self._low.maximum(), lambda self, v: self.setRange(self.minimum, v))

    def _set_step(self, step: float) -> None:
        for spin in (self._low, self._high):
            spin.setSingleStep(step)

    singleStep = Property("double", lambda self: self._low.singleStep(), _set_step)
