"""CTK's containers: the collapsible button and group box that hold a module's sections, and small ones around them."""

from __future__ import annotations

from PySide6.QtCore import Property, QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QGroupBox,
    QSizePolicy,
    QStyle,
    QStyleOptionButton,
    QTextBrowser,
    QWidget,
)

from ..pythonqt import invokable
from .storage import stored


class _Collapse(QObject):
    """Hides and shows the children of a container, leaving alone those that were hidden for their own reasons."""

    def __init__(self, container: QWidget) -> None:
        super().__init__(container)
        self._container = container
        self._hidden_by_us: list[QWidget] = []
        container.installEventFilter(self)

    def eventFilter(self, container: QObject, event: QEvent) -> bool:
        if (
            event.type() == QEvent.Type.ChildPolished
            and isinstance(event.child(), QWidget)
            and self._container.collapsed
        ):
            self._hide(event.child())
        return False

    def apply(self, collapsed: bool) -> None:
        if collapsed:
            for child in self._container.children():
                if isinstance(child, QWidget) and not child.isHidden():
                    self._hide(child)
        else:
            for child in self._hidden_by_us:
                child.setVisible(True)
            self._hidden_by_us = []

    def _hide(self, child: QWidget) -> None:
        self._hidden_by_us.append(child)
        child.setVisible(False)


class ctkCollapsibleButton(QAbstractButton):
    """A button with a section below it that folds away."""

    contentsCollapsed = Signal(bool)
    collapsedHeight = stored("int", 10)
    flat = stored("bool", False)
    contentsFrameShape = stored("int", int(QFrame.Shape.NoFrame.value))
    contentsFrameShadow = stored("int", int(QFrame.Shadow.Plain.value))
    contentsLineWidth = stored("int", 1)
    contentsMidLineWidth = stored("int", 0)
    buttonTextAlignment = stored("int", int(Qt.AlignmentFlag.AlignLeft.value | Qt.AlignmentFlag.AlignVCenter.value))
    indicatorAlignment = stored("int", int(Qt.AlignmentFlag.AlignLeft.value | Qt.AlignmentFlag.AlignVCenter.value))

    def __init__(self, text: str | QWidget | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent if isinstance(text, str) else text)
        if isinstance(text, str):
            self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._button_height(), 0, 0)
        self._collapse = _Collapse(self)
        self.toggled.connect(self._toggled)

    def _get_collapsed(self) -> bool:
        return not self.isChecked()

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property("bool", _get_collapsed, _set_collapsed, notify=contentsCollapsed)

    def _toggled(self, opened: bool) -> None:
        self._collapse.apply(not opened)
        self.updateGeometry()
        self.contentsCollapsed.emit(not opened)

    def _button_height(self) -> int:
        return self.fontMetrics().height() + 8

    def hitButton(self, position: object) -> bool:
        return position.y() < self._button_height()

    def minimumSizeHint(self) -> QSize:
        inside = self.layout().minimumSize() if self.layout() is not None and self.isChecked() else QSize(0, 0)
        return inside.expandedTo(QSize(80, self._button_height()))

    def sizeHint(self) -> QSize:
        inside = self.layout().sizeHint() if self.layout() is not None and self.isChecked() else QSize(0, 0)
        return inside.expandedTo(QSize(120, self._button_height()))

    def paintEvent(self, event: object) -> None:
        option = QStyleOptionButton()
        option.initFrom(self)
        option.text = f"{'▾' if self.isChecked() else '▸'} {self.text()}"
        option.rect.setHeight(self._button_height())
        option.state |= QStyle.StateFlag.State_On if self.isChecked() else QStyle.StateFlag.State_Raised
        painter = QPainter(self)
        self.style().drawControl(QStyle.ControlElement.CE_PushButton, option, painter, self)
        painter.end()


class ctkCollapsibleGroupBox(QGroupBox):
    """A group box whose title's check box folds it."""

    collapsedHeight = stored("int", 14)

    def __init__(self, title: str | QWidget | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent if isinstance(title, str) else title)
        if isinstance(title, str):
            self.setTitle(title)
        self.setCheckable(True)
        self.setChecked(True)
        self._collapse = _Collapse(self)
        self.toggled.connect(lambda opened: self._collapse.apply(not opened))

    def _get_collapsed(self) -> bool:
        return not self.isChecked()

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property("bool", _get_collapsed, _set_collapsed)


class ctkExpandableWidget(QFrame):
    """A frame that a person can drag larger."""

    orientations = stored("int", 3)
    sizeGripInside = stored("bool", True)

    @invokable
    def updateSizeHint(self) -> None:
        self.updateGeometry()


class ctkFittedTextBrowser(QTextBrowser):
    """A text browser as tall as its text, optionally folded behind "Show details"."""

    disableMouseScroll = stored("bool", False)
    collapsed = stored("bool", True)
    showDetailsText = stored("QString", "Show details...")
    hideDetailsText = stored("QString", "Hide details.")

    @invokable
    def collapsibleText(self) -> str:
        return self.__dict__.get("_collapsible", "")

    @invokable
    def setCollapsibleText(self, text: str) -> None:
        self.__dict__["_collapsible"] = text
        self.setText(text)

    @invokable
    def setCollapsibleHtml(self, text: str) -> None:
        self.__dict__["_collapsible"] = text
        self.setHtml(text)

    @invokable
    def setCollapsiblePlainText(self, text: str) -> None:
        self.__dict__["_collapsible"] = text
        self.setPlainText(text)
