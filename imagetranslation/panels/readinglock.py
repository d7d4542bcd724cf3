"""The application while a blinded reading runs: no other module, no menus, no saving, no screenshot, no data probe.

Imports `slicer`. Whatever is switched off is remembered and switched on again by `release`, also by the next panel
when the one that locked has died. Widgets are disabled and not hidden, because the application remembers hidden tool
bars from one start to the next.

What no API can block: screenshots by the operating system, code that was running before, and files opened beside the
application. The coordinator's part (`imagetranslation study audit`) is that the reading's files tell nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Optional

import slicer

# Before the application's own observers, which would open the menu.
_FIRST = 10.0
_held: Optional[ApplicationLock] = None


class ApplicationLock:
    """Holds the application from construction to `release`; one at a time.

    module: name of the module that stays open, "" where the reading stands in a window of its own. hold: called when
    the views were arranged otherwise, to bring the reading's layout back. orphaned: ends the reading if its panel is
    gone, and says whether it was.
    """

    def __init__(self, module: str, hold: Callable[[], None], orphaned: Callable[[], bool]) -> None:
        global _held
        _held = self
        self._module, self._hold, self.orphaned = module, hold, orphaned
        self._switched: list[tuple[Any, str, bool]] = []
        self._selector: Any = None
        self._menuTag: Optional[int] = None
        self._interaction = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLInteractionNode")
        window = slicer.util.mainWindow()
        if window is not None:
            self._lockWindow(window)
        self._lockContextMenu()
        slicer.app.layoutManager().connect("layoutChanged(int)", self.onLayout)

    def release(self) -> None:
        """Give everything back as it was."""
        global _held
        if _held is self:
            _held = None
        slicer.app.layoutManager().disconnect("layoutChanged(int)", self.onLayout)
        if self._selector is not None:
            self._selector.disconnect("moduleSelected(QString)", self.onModule)
            self._selector = None
        if self._menuTag is not None:
            self._interaction.RemoveObserver(self._menuTag)
            self._menuTag = None
        for widget, what, before in reversed(self._switched):
            # A widget that Qt has deleted meanwhile is false.
            if widget:
                setattr(widget, what, before)
        self._switched = []

    def onModule(self, name: str) -> None:
        """Something selected another module: come back."""
        if self._module and name != self._module:
            import qt

            qt.QTimer.singleShot(0, self._comeBack)

    def onLayout(self, *_arguments: object) -> None:
        """Something chose another layout."""
        import qt

        qt.QTimer.singleShot(0, self._holdLayout)

    def onContextMenu(self, *_arguments: object) -> None:
        """A view's context menu would offer to copy the picture and to edit its node."""
        self._interaction.GetCommand(self._menuTag).SetAbortFlag(1)

    def _comeBack(self) -> None:
        if _held is self:
            slicer.util.selectModule(self._module)

    def _holdLayout(self) -> None:
        if _held is self:
            self._hold()

    def _lockWindow(self, window: Any) -> None:
        menus = window.menuBar()
        for action in [*window.actions(), *_actions_below(menus.actions())]:
            self._switch(action, "enabled", False)
        self._switch(menus, "enabled", False)
        for bar in window.findChildren("QToolBar"):
            self._switch(bar, "enabled", False)
        # Files dropped on the window would be loaded.
        self._switch(window, "acceptDrops", False)
        for probe in slicer.util.findChildren(window, name="DataProbeCollapsibleWidget"):
            # Visible says whether it is on the screen now; hidden, whether somebody has hidden it.
            self._switch(probe, "visible", False, not probe.isHidden())
        locked = ["PythonConsoleDockWidget"] if self._module else ["PythonConsoleDockWidget", "PanelDockWidget"]
        for name in locked:
            for dock in slicer.util.findChildren(window, name=name):
                self._switch(dock, "enabled", False)
        self._selector = window.moduleSelector()
        if self._selector is not None:
            self._selector.connect("moduleSelected(QString)", self.onModule)

    def _lockContextMenu(self) -> None:
        if self._interaction is not None:
            event = self._interaction.ShowViewContextMenuEvent
            self._menuTag = self._interaction.AddObserver(event, self.onContextMenu, _FIRST)

    def _switch(self, widget: Any, what: str, value: bool, before: Optional[bool] = None) -> None:
        self._switched.append((widget, what, bool(getattr(widget, what)) if before is None else before))
        setattr(widget, what, value)


def release_left_over() -> None:
    """End a reading whose panel is gone, and release its lock."""
    if _held is not None and _held.orphaned() and _held is not None:
        _held.release()


def locked() -> bool:
    """Whether a reading holds the application."""
    return _held is not None


def _actions_below(actions: Iterable[Any]) -> list[Any]:
    """Actions and those of their menus, at every depth."""
    found = []
    for action in actions:
        found.append(action)
        menu = action.menu()
        if menu is not None:
            found += _actions_below(menu.actions())
    return found
