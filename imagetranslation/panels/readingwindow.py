"""Reading a study without opening one of the modules: the panel in a dock of the main window. Imports `qt`.

In the Python console: `from imagetranslation.panels.readingwindow import open_reading; open_reading()`.
"""

from __future__ import annotations

from typing import Any, Optional

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from .marking import mark_all_views
from .readingpanel import ReadingPanel

_window: Optional[ReadingWindow] = None


class ReadingWindow:
    """A dock with one reading panel. Closing the scene or the application ends its reading."""

    def __init__(self, main: Any) -> None:
        self.panel = ReadingPanel()
        self.panel.ui.readingSection.collapsed = False
        self.dock = qt.QDockWidget(_("Reader study"), main)
        self.dock.objectName = "ImageTranslationReadingDock"
        self._scroll = qt.QScrollArea()
        self._scroll.widgetResizable = True
        self._scroll.setWidget(self.panel.widget)
        self.dock.setWidget(self._scroll)
        self.dock.setMinimumWidth(400)
        main.addDockWidget(qt.Qt.RightDockWidgetArea, self.dock)
        # A dock that is closed while its reading is open would leave nothing to end it with.
        self.panel.began.connect(self.onBegan)
        self.panel.ended.connect(self.onEnded)
        self._tag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        slicer.app.connect("aboutToQuit()", self.close)

    def onBegan(self) -> None:
        """A reading is open."""
        self._features = int(self.dock.features)
        self.dock.features = qt.QDockWidget.NoDockWidgetFeatures

    def onEnded(self) -> None:
        """It was left."""
        if self.dock:
            self.dock.features = self._features

    def onSceneStartClose(self, *_arguments: object) -> None:
        """The scene is about to go."""
        self.panel.leave()

    def close(self) -> None:
        """End the reading and remove the dock."""
        global _window
        if _window is self:
            _window = None
        slicer.mrmlScene.RemoveObserver(self._tag)
        slicer.app.disconnect("aboutToQuit()", self.close)
        self.panel.close()
        if self.dock:
            self.dock.deleteLater()


def open_reading(folder: str = "", reader: str = "") -> ReadingWindow:
    """Show the reading window, filled in where folder or reader is given. InputError where there is no main window."""
    global _window
    main = slicer.util.mainWindow()
    if main is None:
        raise InputError("A reading needs Slicer's main window.")
    mark_all_views()
    if _window is None or not _window.dock:
        _window = ReadingWindow(main)
    if folder:
        _window.panel.ui.readingPath.currentPath = folder
    if reader:
        _window.panel.ui.readerEdit.text = reader
    _window.dock.show()
    return _window
