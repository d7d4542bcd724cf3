"""The world outside: modal dialogs answered by a script, installation requests and opened addresses recorded.

A modal dialog nobody announced is closed and fails the test: in the application it would wait for ever.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import psutil
from PySide6.QtCore import QEvent, QTimer
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QFileDialog,
    QLabel,
    QLineEdit,
    QMessageBox,
    QWidget,
)

from .pythonqt import deviations, exceptions_in_slots


class _Dialogs:
    """Announced answers, in order; `texts` holds what each dialog said."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._answers: list[tuple[str, Any]] = []
        self._timer: QTimer | None = None
        self._seen: list[QWidget] = []

    def will_press(self, button_text: str) -> None:
        """The next modal dialog gets its button pressed whose text holds `button_text`."""
        self._expect("press", button_text)

    def will_choose_file(self, path: str | Path) -> None:
        """The next file dialog returns `path`."""
        self._expect("file", str(path))

    def will_be_closed(self) -> None:
        """The next modal dialog is dismissed, as by Escape."""
        self._expect("close", None)

    @property
    def unanswered(self) -> int:
        """How many announced dialogs did not come."""
        return len(self._answers)

    def _expect(self, kind: str, value: Any) -> None:
        self._answers.append((kind, value))
        self.watch()

    def watch(self) -> None:
        if self._timer is None:
            self._timer = QTimer(QApplication.instance())
            self._timer.timeout.connect(self._look)
        self._timer.start(10)

    def reset(self) -> None:
        self.texts, self._answers, self._seen = [], [], []
        self.watch()

    def _look(self) -> None:
        dialog = QApplication.activeModalWidget()
        if dialog is None or not dialog.isVisible() or dialog in self._seen:
            return
        self._seen.append(dialog)
        self.texts.append(_said(dialog))
        if not self._answers:
            exceptions_in_slots.append(AssertionError(f"nobody announced this dialog: {self.texts[-1]!r}"))
            _dismiss(dialog)
            return
        kind, value = self._answers.pop(0)
        if kind == "close":
            _dismiss(dialog)
        elif kind == "file":
            self._choose_file(dialog, value)
        else:
            self._press(dialog, value)

    def _press(self, dialog: QWidget, text: str) -> None:
        buttons = [b for b in dialog.findChildren(QAbstractButton) if b.isVisible()]
        for button in buttons:
            if text.lower() in button.text().replace("&", "").lower():
                button.click()
                return
        known = [b.text() for b in buttons if b.text()]
        exceptions_in_slots.append(AssertionError(f"the dialog has no button '{text}', only {known}"))
        _dismiss(dialog)

    def _choose_file(self, dialog: QWidget, path: str) -> None:
        if not isinstance(dialog, QFileDialog):
            exceptions_in_slots.append(AssertionError(f"expected a file dialog, got {_said(dialog)!r}"))
            _dismiss(dialog)
            return
        dialog.findChild(QLineEdit, "fileNameEdit").setText(path)
        dialog.accept()
        if dialog.isVisible():
            exceptions_in_slots.append(AssertionError(f"the file dialog does not accept {path}"))
            _dismiss(dialog)


dialogs = _Dialogs()


def forget() -> None:
    """Fresh records for the next test."""
    import slicer

    packaging = sys.modules.get("slicer.packaging")
    if packaging is not None:
        packaging.requests.clear()
        packaging.refuse = packaging.fail = False
    deviations.opened_urls.clear()
    slicer.modules.sampleDataSources.clear()
    dialogs.reset()


def close_dialogs() -> None:
    """Dismiss what a test left open."""
    for widget in QApplication.topLevelWidgets():
        if isinstance(widget, QDialog) and widget.isVisible():
            widget.close()


def settle() -> None:
    """Run what is due, deletions included."""
    for _ in range(3):
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def children() -> set[psutil.Process]:
    """The processes below this one, now. Other tests of the same run may leave helpers of theirs (joblib's) alive."""
    return set(psutil.Process().children(recursive=True))


def processes_left_running(before: set[psutil.Process], patience_s: float = 1.0) -> list[str]:
    """Command lines of children that were not there `before` and do not end by themselves in time; they are killed."""
    _, alive = psutil.wait_procs(children() - before, timeout=patience_s)
    left = []
    for child in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.append(" ".join(child.cmdline()))
            child.kill()
    return left


def _said(dialog: QWidget) -> str:
    if isinstance(dialog, QMessageBox):
        parts = [dialog.text(), dialog.informativeText(), dialog.detailedText()]
    else:
        parts = [dialog.windowTitle(), *(label.text() for label in dialog.findChildren(QLabel))]
    return "\n".join(part for part in parts if part)


def _dismiss(dialog: QWidget) -> None:
    if isinstance(dialog, QDialog):
        dialog.reject()
    else:
        dialog.close()
