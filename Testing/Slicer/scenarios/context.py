"""What a scenario may ask of the application it runs in. PythonQt-safe; nothing here knows about the harness."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

REPOSITORY = Path(__file__).resolve().parents[3]


def where_to_click(button: Any) -> tuple[float, float]:
    """The point of a widget that reacts: its middle, but a check box's box and a collapsible button's title."""
    if button.inherits("QCheckBox") or button.inherits("QRadioButton"):
        return 8.0, button.height / 2.0
    if button.inherits("ctkCollapsibleButton"):
        return button.width / 2.0, 8.0
    return button.width / 2.0, button.height / 2.0


class Context:
    """The application, driven as by a person: click, type, wait, look."""

    def __init__(self, screenshots: Path | None = None) -> None:
        self._screenshots = screenshots
        self._timers: list[Any] = []

    def open_module(self, name: str) -> Any:
        """Show a module of this repository, loading it from its folder if need be; its Python widget."""
        if not hasattr(slicer.modules, name.lower()):
            self._load(REPOSITORY / name / f"{name}.py")
        slicer.util.selectModule(name)
        self.process_events()
        return slicer.util.getModuleWidget(name)

    def _load(self, path: Path) -> None:
        factory = slicer.app.moduleManager().factoryManager()
        factory.registerModule(qt.QFileInfo(str(path)))
        factory.loadModules([path.stem])

    def process_events(self) -> None:
        """Let the application do what is due now."""
        slicer.app.processEvents()

    def wait_until(self, condition: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
        """Run the application until `condition()` is true and return it; AssertionError after `seconds`."""
        end = time.monotonic() + seconds
        while True:
            self.process_events()
            result = condition()
            if result:
                return result
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds:g} s in vain for {what or condition}")
            time.sleep(0.005)

    def child(self, widget: Any, name: str) -> Any:
        """The widget named `name` inside `widget`."""
        return slicer.util.findChild(widget, name)

    def click(self, button: Any) -> None:
        """Press and release the left button on a widget that a person could click, where it reacts to clicks."""
        if not button.visible:
            raise AssertionError(f"{button.objectName} is not visible, so nobody can click it")
        if not button.enabled:
            raise AssertionError(f"{button.objectName} is disabled, so nobody can click it")
        self._press(button)
        self.process_events()

    def _press(self, button: Any) -> None:
        place = qt.QPointF(*where_to_click(button))
        buttons = (qt.Qt.LeftButton, qt.Qt.NoButton)
        for kind, held in zip((qt.QEvent.MouseButtonPress, qt.QEvent.MouseButtonRelease), buttons):
            event = qt.QMouseEvent(kind, place, qt.Qt.LeftButton, held, qt.Qt.NoModifier)
            qt.QApplication.sendEvent(button, event)

    def will_answer(self, button_text: str, seconds: float = 10.0) -> None:
        """When a modal dialog comes up, press its button whose text holds `button_text`."""
        timer = qt.QTimer()
        timer.setInterval(20)
        end = time.monotonic() + seconds

        def look() -> None:
            dialog = qt.QApplication.activeModalWidget()
            if dialog is None:
                if time.monotonic() > end:
                    timer.stop()
                return
            for button in dialog.findChildren("QPushButton"):
                if button_text.lower() in button.text.replace("&", "").lower():
                    timer.stop()
                    button.click()
                    return

        timer.connect("timeout()", look)
        timer.start()
        self._timers.append(timer)

    def pixels(self, slice_view_name: str) -> np.ndarray:
        """(row, column, RGB) uint8 of a slice view, freshly drawn; row 0 is the top."""
        view = slicer.app.layoutManager().sliceWidget(slice_view_name).sliceView()
        view.forceRender()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(view.renderWindow())
        grabber.ReadFrontBufferOff()
        grabber.SetInputBufferTypeToRGB()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()

    def screenshot(self, name: str, widget: Any = None) -> Path | None:
        """Save a picture of `widget` (or the main window) as `name`.png where pictures are wanted."""
        if self._screenshots is None:
            return None
        self.process_events()
        self._screenshots.mkdir(parents=True, exist_ok=True)
        path = self._screenshots / f"{name}.png"
        picture = (widget or slicer.util.mainWindow()).grab()
        if not picture.save(str(path)):
            raise AssertionError(f"the picture could not be saved as {path}")
        return path
