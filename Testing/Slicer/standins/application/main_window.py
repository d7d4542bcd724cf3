"""The main window: module selector above, the module's panel at the left, the views at the right, a status bar."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import QComboBox, QDockWidget, QMainWindow, QScrollArea, QToolBar, QWidget

from ..pythonqt import invokable

WELCOME = "Welcome"
"""The module the application starts with; it has no panel here."""


class qSlicerModuleSelectorToolBar(QToolBar):
    """Chooses the module: leaves the one shown, enters the new one."""

    moduleSelected = Signal(str)

    def __init__(self, window: qSlicerMainWindow, manager: Any) -> None:
        super().__init__("Modules", window)
        self._window = window
        self._manager = manager
        self._selected = WELCOME
        self._left_for_nothing = ""
        self._combo = QComboBox(self)
        self.addWidget(self._combo)
        self._combo.addItem(WELCOME)
        manager.moduleLoaded.connect(self._combo.addItem)
        self._combo.textActivated.connect(self.selectModule)

    @invokable
    def selectModule(self, name: str) -> None:
        module = self._manager.module(name) if name else None
        if name and name != WELCOME and module is None:
            raise RuntimeError(f"there is no module named {name}")
        if name == self._selected:
            return
        previous = self._manager.module(self._selected)
        if previous is not None and previous.widgetRepresentation().property("isEntered"):
            previous.widgetRepresentation().exit()
        self._selected = name
        self._combo.setCurrentText(name)
        if module is not None:
            self._window.show_panel(module.widgetRepresentation())
            # The application does not enter again a module that was left for no module at all.
            if name != self._left_for_nothing:
                module.widgetRepresentation().enter()
        self._left_for_nothing = "" if name else previous.name if previous is not None else ""
        self.moduleSelected.emit(name)

    selectedModule = Property("QString", lambda self: self._selected, selectModule, notify=moduleSelected)


class qSlicerMainWindow(QMainWindow):
    """See the module's docstring."""

    initialWindowShown = Signal()

    def __init__(self, manager: Any) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle("3D Slicer (test harness)")
        self.viewport = QWidget(self)
        self.viewport.setObjectName("CentralWidgetLayoutFrame")
        self.setCentralWidget(self.viewport)
        self._selector = qSlicerModuleSelectorToolBar(self, manager)
        self.addToolBar(self._selector)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setMinimumWidth(420)
        dock = QDockWidget("Module", self)
        dock.setObjectName("PanelDockWidget")
        dock.setWidget(self._scroll)
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
        self.statusBar()
        self.resize(1400, 900)

    @invokable
    def moduleSelector(self) -> QToolBar:
        return self._selector

    def show_panel(self, panel: QWidget) -> None:
        """Put a module's panel into the dock; the one shown before lives on."""
        if self._scroll.widget() is not None:
            self._scroll.takeWidget().setParent(None)
        self._scroll.setWidget(panel)
        panel.show()
