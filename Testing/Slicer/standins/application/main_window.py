"""The main window: menus and tool bars above, the module panel and data probe at the left, the views at the right, a
Python console and a status bar below."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import QComboBox, QDockWidget, QMainWindow, QScrollArea, QToolBar, QVBoxLayout, QWidget

from ..pythonqt import invokable
from ..widgets.ctk_containers import ctkCollapsibleButton

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
        left = QWidget(dock)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._scroll, 1)
        probe = ctkCollapsibleButton("Data Probe", left)
        probe.setObjectName("DataProbeCollapsibleWidget")
        column.addWidget(probe)
        dock.setWidget(left)
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
        self._add_menus()
        console = QDockWidget("Python Console", self)
        console.setObjectName("PythonConsoleDockWidget")
        self.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, console)
        console.hide()
        self.setAcceptDrops(True)
        self.statusBar()
        self.resize(1400, 900)

    def _add_menus(self) -> None:
        """The entries that the application has under these names; they do nothing here."""
        bar = self.menuBar()
        capture = self.addToolBar("Capture/Restore")
        for menu_title, entries in {
            "&File": (
                ("FileSaveSceneAction", "Save Data", "Ctrl+S"),
                ("FileCloseSceneAction", "Close Scene", "Ctrl+W"),
            ),
            "&View": (("WindowPythonConsoleAction", "Python Console", "Ctrl+3"),),
        }.items():
            menu = bar.addMenu(menu_title)
            for name, title, keys in entries:
                action = menu.addAction(title)
                action.setObjectName(name)
                action.setShortcut(keys)
        screenshot = capture.addAction("Capture a screenshot")
        screenshot.setObjectName("ToolsSceneViewsAction")

    @invokable
    def moduleSelector(self) -> QToolBar:
        return self._selector

    def show_panel(self, panel: QWidget) -> None:
        """Put a module's panel into the dock; the one shown before lives on."""
        if self._scroll.widget() is not None:
            self._scroll.takeWidget().setParent(None)
        self._scroll.setWidget(panel)
        panel.show()
