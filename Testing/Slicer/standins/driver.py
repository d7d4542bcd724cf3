"""Driving the harness: real mouse clicks and key presses on the native widgets, and a watch on the main thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEventLoop, QPoint, Qt, QTimer
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QLineEdit, QScrollArea, QWidget
from scenarios.context import Context, where_to_click

from .pythonqt import unwrap


def in_event_loop(function: Callable[[], None]) -> None:
    """Call `function` from a running event loop and raise what it raises."""
    loop = QEventLoop()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised again outside the loop, skips and interrupts included
            raised.append(error)
        loop.quit()

    QTimer.singleShot(0, run)
    loop.exec()
    if raised:
        raise raised[0]


class HarnessContext(Context):
    """A scenario's context that clicks with Qt's own test library."""

    def __init__(self, application: Any, screenshots: Path | None) -> None:
        super().__init__(screenshots)
        self._application = application

    def _load(self, path: Path) -> None:
        self._application.modules.load(path)

    def _press(self, button: Any) -> None:
        native = unwrap(button)
        self._bring_into_view(native)
        place = QPoint(*map(int, where_to_click(button)))
        under = QApplication.widgetAt(native.mapToGlobal(place))
        if (
            under is not None
            and under is not native
            and not native.isAncestorOf(under)
            and not under.isAncestorOf(native)
        ):
            raise AssertionError(f"{native.objectName()} is covered by {under.objectName() or under}")
        QTest.mouseClick(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)

    def _bring_into_view(self, native: QWidget) -> None:
        parent = native.parentWidget()
        while parent is not None:
            if isinstance(parent, QScrollArea):
                parent.ensureWidgetVisible(native)
            parent = parent.parentWidget()
        self.process_events()

    def press_key(self, widget: Any, keys: str) -> None:
        """Press a key or a combination on `widget`, or on the main window, as for a shortcut."""
        native = unwrap(widget) if widget is not None else self._application.window
        native.window().activateWindow()
        if not QTest.qWaitForWindowActive(native.window(), 2000):
            raise AssertionError("the window did not become active, so no key reaches it")
        native.setFocus()
        QTest.keySequence(native, QKeySequence(keys))
        self.process_events()

    def type_text(self, widget: Any, text: str) -> None:
        """Replace what is in a line edit, spin box or editable combo box by typing, and finish with Return."""
        native = unwrap(widget)
        editor = native if isinstance(native, QLineEdit) else native.findChild(QLineEdit)
        if editor is None or not editor.isEnabled():
            raise AssertionError(f"nobody can type into {native.objectName()}")
        editor.setFocus()
        editor.selectAll()
        QTest.keyClicks(editor, text)
        QTest.keyClick(editor, Qt.Key.Key_Return)
        self.process_events()

    def choose(self, widget: Any, text: str) -> None:
        """Choose the entry with that text in a combo box (also the one inside a node selector)."""
        native = unwrap(widget)
        combo = native if isinstance(native, QComboBox) else native.findChild(QComboBox)
        if not (combo.isEnabled() and combo.isVisible()):
            raise AssertionError(f"nobody can choose in {native.objectName()}")
        row = combo.findText(text)
        if row < 0:
            entries = [combo.itemText(n) for n in range(combo.count())]
            raise AssertionError(f"{native.objectName()} has no entry '{text}', only {entries}")
        if combo.model().flags(combo.model().index(row, combo.modelColumn())) & Qt.ItemFlag.ItemIsSelectable:
            combo.setCurrentIndex(row)
        combo.activated.emit(row)
        combo.textActivated.emit(text)
        self.process_events()


class MainThreadWatch:
    """How long the event loop made its timers wait."""

    @contextmanager
    def watched(self, interval_ms: int = 5) -> Iterator[list[float]]:
        """Seconds between ticks of a `interval_ms` timer, beyond that interval, while the block runs."""
        gaps: list[float] = []
        last = [time.monotonic()]

        def tick() -> None:
            now = time.monotonic()
            gaps.append(max(0.0, now - last[0] - interval_ms / 1000))
            last[0] = now

        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.timeout.connect(tick)
        timer.start(interval_ms)
        try:
            yield gaps
        finally:
            timer.stop()
            tick()
