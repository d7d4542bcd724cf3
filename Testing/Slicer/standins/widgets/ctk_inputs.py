"""CTK's inputs for paths, choices, searches and messages."""

from __future__ import annotations

import enum
from pathlib import Path

from PySide6.QtCore import Property, QAbstractItemModel, QModelIndex, QSettings, Qt, Signal
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QToolButton,
    QWidget,
)

from ..pythonqt import invokable
from .storage import stored


class ctkComboBox(QComboBox):
    """A combo box with a text for "nothing chosen"."""

    returnRelease = Signal()
    defaultText = stored("QString", "", lambda self: self.setPlaceholderText(self.defaultText))
    forceDefault = stored("bool", False)
    elideMode = stored("int", int(Qt.TextElideMode.ElideNone.value))
    scrollWheelEffect = stored("int", 1)

    def _get_user_data(self) -> str:
        data = self.currentData()
        return "" if data is None else str(data)

    @invokable
    def setCurrentUserDataAsString(self, user_data: str) -> None:
        self.setCurrentIndex(self.findData(user_data))

    currentUserDataAsString = Property("QString", _get_user_data, setCurrentUserDataAsString)


class ctkCheckableComboBox(QComboBox):
    """A combo box whose entries can be ticked."""

    checkedIndexesChanged = Signal()
    returnRelease = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(QStandardItemModel(0, 1, self))
        self.model().rowsInserted.connect(self._make_checkable)
        self.model().dataChanged.connect(self._data_changed)

    def _make_checkable(self, parent: QModelIndex, first: int, last: int) -> None:
        for row in range(first, last + 1):
            item = self.model().item(row)
            item.setCheckable(True)
            if item.data(Qt.ItemDataRole.CheckStateRole) is None:
                item.setCheckState(Qt.CheckState.Unchecked)

    def _data_changed(self, top: QModelIndex, bottom: QModelIndex, roles: list) -> None:
        if not roles or Qt.ItemDataRole.CheckStateRole in roles:
            self.checkedIndexesChanged.emit()

    @invokable
    def checkableModel(self) -> QAbstractItemModel:
        return self.model()

    @invokable
    def checkedIndexes(self) -> list[QModelIndex]:
        model = self.model()
        rows = [model.item(row) for row in range(model.rowCount())]
        return [item.index() for item in rows if item.checkState() == Qt.CheckState.Checked]

    @invokable
    def allChecked(self) -> bool:
        return len(self.checkedIndexes()) == self.count()

    @invokable
    def noneChecked(self) -> bool:
        return not self.checkedIndexes()

    @invokable
    def checkState(self, index: QModelIndex) -> Qt.CheckState:
        return self.model().itemFromIndex(index).checkState()

    @invokable
    def setCheckState(self, index: QModelIndex, state: int | Qt.CheckState) -> None:
        self.model().itemFromIndex(index).setCheckState(Qt.CheckState(state))


class _Filter(enum.IntFlag):
    Dirs = 0x001
    Files = 0x002
    Drives = 0x004
    NoSymLinks = 0x008
    Readable = 0x010
    Writable = 0x020
    Executable = 0x040
    Hidden = 0x100


class ctkPathLineEdit(QWidget):
    """A line edit for a path, with its history and a browse button."""

    Filter = _Filter
    validInputChanged = Signal(bool)
    currentPathChanged = Signal(str)
    label = stored("QString", "")
    filters = stored("int", 0x6057)
    options = stored("int", 0)
    settingKey = stored("QString", "", lambda self: self.retrieveHistory())
    nameFilters = stored("QStringList", [])
    minimumContentsLength = stored("int", 0)
    sizeAdjustPolicy = stored("int", 0)
    showHistoryButton = stored("bool", True)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo = QComboBox(self)
        self._combo.setEditable(True)
        self._browse = QToolButton(self)
        self._browse.setObjectName("BrowseButton")
        self._browse.setText("...")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._combo)
        row.addWidget(self._browse)
        self._browse.clicked.connect(self.browse)
        self._combo.editTextChanged.connect(self.currentPathChanged)

    def _get_path(self) -> str:
        return self._combo.currentText()

    @invokable
    def setCurrentPath(self, path: str) -> None:
        self._combo.setEditText(path)

    currentPath = Property("QString", _get_path, setCurrentPath, user=True)

    def _get_show_browse(self) -> bool:
        return not self._browse.isHidden()

    def _set_show_browse(self, shown: bool) -> None:
        self._browse.setVisible(shown)

    showBrowseButton = Property("bool", _get_show_browse, _set_show_browse)

    @invokable
    def comboBox(self) -> QComboBox:
        return self._combo

    @invokable
    def browse(self) -> None:
        if self.filters & _Filter.Files and not self.filters & _Filter.Dirs:
            path = QFileDialog.getOpenFileName(self, "Open", self.currentPath, ";;".join(self.nameFilters))[0]
        else:
            path = QFileDialog.getExistingDirectory(self, "Select a directory...", self.currentPath)
        if path:
            self.setCurrentPath(path)

    @invokable
    def retrieveHistory(self) -> None:
        current = self.currentPath
        history = QSettings().value(f"PathLineEdit/{self.settingKey}", []) or []
        self._combo.clear()
        self._combo.addItems([history] if isinstance(history, str) else list(history))
        self._combo.setEditText(current)

    @invokable
    def addCurrentPathToHistory(self) -> None:
        if not self.currentPath or self._combo.findText(self.currentPath) >= 0:
            return
        self._combo.insertItem(0, self.currentPath)
        if self.settingKey:
            entries = [self._combo.itemText(i) for i in range(self._combo.count())]
            QSettings().setValue(f"PathLineEdit/{self.settingKey}", entries)


for _member in _Filter:
    setattr(ctkPathLineEdit, _member.name, _member)


class ctkDirectoryButton(QWidget):
    """A button that shows a directory and lets a person choose another."""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)
    caption = stored("QString", "")
    text = stored("QString", "", lambda self: self._show())
    acceptMode = stored("int", 0)
    options = stored("int", 0)
    elideMode = stored("int", int(Qt.TextElideMode.ElideMiddle.value))

    def __init__(self, directory: str | QWidget | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent if isinstance(directory, str) else directory)
        self._directory = directory if isinstance(directory, str) else str(Path.cwd())
        self._button = QPushButton(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._button)
        self._button.clicked.connect(self.browse)
        self._show()

    def _show(self) -> None:
        self._button.setText(self.text or self._directory)

    def _get_directory(self) -> str:
        return self._directory

    def _set_directory(self, directory: str) -> None:
        if directory != self._directory:
            self._directory = directory
            self._show()
            self.directoryChanged.emit(directory)

    directory = Property("QString", _get_directory, _set_directory, notify=directoryChanged, user=True)

    @invokable
    def browse(self) -> str:
        chosen = QFileDialog.getExistingDirectory(self, self.caption, self._directory)
        if chosen:
            self._set_directory(chosen)
            self.directorySelected.emit(chosen)
        return chosen


class ctkSearchBox(QLineEdit):
    """A line edit with a magnifying glass."""

    showSearchIcon = stored("bool", False)


class ctkMenuButton(QPushButton):
    """A push button with a menu arrow of its own."""


class ctkPushButton(QPushButton):
    """A push button with alignment of text and icon."""

    buttonTextAlignment = stored("int", int(Qt.AlignmentFlag.AlignCenter.value))
    iconAlignment = stored("int", int((Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter).value))
    elideMode = stored("int", int(Qt.TextElideMode.ElideNone.value))


class ctkMessageBox(QMessageBox):
    """A message box with "don't show this message again"."""

    dontShowAgainSettingsKey = stored("QString", "")

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._again = QCheckBox("Don't show this message again", self)
        self.setCheckBox(self._again)
        self._again.setVisible(False)
        self._again_visible = False

    def _get_dont_show(self) -> bool:
        return self._again.isChecked()

    @invokable
    def setDontShowAgain(self, dont_show: bool) -> None:
        self._again.setChecked(dont_show)

    dontShowAgain = Property("bool", _get_dont_show, setDontShowAgain)

    def _get_visible(self) -> bool:
        return self._again_visible

    def _set_visible(self, shown: bool) -> None:
        self._again_visible = shown
        self._again.setVisible(shown)

    dontShowAgainVisible = Property("bool", _get_visible, _set_visible)

    @invokable
    def addDontShowAgainButtonRole(self, role: object) -> None:
        self.__dict__.setdefault("_roles", []).append(role)
