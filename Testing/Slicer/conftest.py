"""The running application as fixtures that read as prose: `a_slicer_app`, `a_scene`, `us2mri_module`, `click` ...

One application a process, as in reality. Every test that uses it ends with an empty scene, and fails if a Python
function called by Qt raised an exception that the test did not ask for.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
for _folder in (str(HERE), str(REPOSITORY)):
    if _folder not in sys.path:
        sys.path.insert(0, _folder)

_MISSING = [name for name in ("slicer", "PySide6") if importlib.util.find_spec(name) is None]


@dataclass
class LoadedModule:
    """A module as the application holds it.

    module: its module object (title, path ...). widget: the Python widget class's instance. panel: the Qt frame.
    """

    name: str
    module: Any
    widget: Any
    panel: Any

    @property
    def logic(self) -> Any:
        return self.widget.logic

    def child(self, name: str) -> Any:
        """The control named `name` in the panel."""
        import slicer

        return slicer.util.findChild(self.panel, name)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test of the application inside an event loop, where module code always runs.

    Outside one, `deleteLater()` before `exec()` would delete a dialog as it opens.
    """
    if "a_slicer_app" not in pyfuncitem.fixturenames:
        return None
    from standins.driver import in_event_loop

    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    in_event_loop(lambda: pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(scope="session")
def the_application(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The application, started once in this process, with its native objects."""
    if _MISSING:
        pytest.skip(f"not installed: {', '.join(_MISSING)}")
    from standins.application.start import start

    application = start(tmp_path_factory.mktemp("application"))
    application.window.show()
    yield application
    application.layout.finish()


@pytest.fixture
def a_slicer_app(the_application: Any) -> Iterator[Any]:
    """`slicer.app` with an empty scene and fresh records of what was asked of the outside world."""
    import slicer
    from standins import outside
    from standins.pythonqt import exceptions_in_slots

    slicer.mrmlScene = the_application.scene
    exceptions_in_slots.clear()
    outside.forget()
    before = outside.children()
    yield slicer.app
    outside.close_dialogs()
    slicer.mrmlScene = the_application.scene
    slicer.mrmlScene.Clear(False)
    outside.settle()
    left = outside.processes_left_running(before)
    raised, exceptions_in_slots[:] = list(exceptions_in_slots), []
    assert not raised, f"Python code called by Qt raised {raised!r}"
    assert not left, f"processes still running after the test: {left}"


@pytest.fixture
def a_scene(a_slicer_app: Any) -> Any:
    """The application's scene, empty."""
    import slicer

    return slicer.mrmlScene


@pytest.fixture
def context(a_slicer_app: Any, the_application: Any) -> Any:
    """What scenarios use: see scenarios/context.py."""
    from standins.driver import HarnessContext

    folder = os.environ.get("IMAGETRANSLATION_SCREENSHOTS")
    return HarnessContext(the_application, Path(folder) if folder else None)


@pytest.fixture
def load_module(context: Any, the_application: Any) -> Iterator[Callable[[Path], LoadedModule]]:
    """Load a module file, open its panel; every module is unloaded when the test ends."""
    import slicer

    def load(path: Path) -> LoadedModule:
        name = path.stem
        if the_application.modules.module(name) is None:
            the_application.modules.load(path)
        slicer.util.selectModule(name)
        context.process_events()
        module = slicer.util.getModule(name)
        return LoadedModule(name, module, slicer.util.getModuleWidget(name), module.widgetRepresentation())

    yield load
    slicer.util.selectModule("Welcome")
    for name in the_application.modules.modulesNames():
        the_application.modules.unload(name)


@pytest.fixture
def us2mri_module(load_module: Callable[[Path], LoadedModule]) -> LoadedModule:
    """US to MRI Translate, open."""
    return load_module(REPOSITORY / "US2MRITranslate" / "US2MRITranslate.py")


@pytest.fixture
def pool_module(load_module: Callable[[Path], LoadedModule]) -> LoadedModule:
    """Pool to Delayed, open."""
    return load_module(REPOSITORY / "PoolToDelayed" / "PoolToDelayed.py")


@pytest.fixture
def begin_reading(us2mri_module: LoadedModule, click: Any, wait_until: Any, process_events: Any) -> Iterator[Any]:
    """`begin_reading(folder, reader="R1", waiting=True)`: start a reading with the real buttons; the reading panel."""
    panel = us2mri_module.widget.panel.reading

    def begin(folder: Path, reader: str = "R1", waiting: bool = True) -> Any:
        panel.ui.readingSection.collapsed = False
        panel.ui.readingPath.currentPath = str(folder)
        panel.ui.readerEdit.text = reader
        click(panel.ui.startButton)
        if waiting:
            wait_until(lambda: panel.views is not None and panel.views.slots, 10, "the first case")
            process_events()
        return panel

    yield begin
    panel.close()


@pytest.fixture
def click(context: Any) -> Callable[[Any], None]:
    """Click the middle of a visible, enabled widget with the mouse."""
    return context.click


@pytest.fixture
def press_key(context: Any) -> Callable[..., None]:
    """Press a key: `press_key(widget, "S")` or `press_key(None, "Ctrl+1")` for the main window."""
    return context.press_key


@pytest.fixture
def type_text(context: Any) -> Callable[[Any, str], None]:
    """Replace the text of an input by typing."""
    return context.type_text


@pytest.fixture
def choose(context: Any) -> Callable[[Any, str], None]:
    """Choose an entry of a combo box by its text, as a person does."""
    return context.choose


@pytest.fixture
def wait_until(context: Any) -> Callable[..., Any]:
    """`wait_until(condition, seconds=10, what="")`: run the application until the condition holds."""
    return context.wait_until


@pytest.fixture
def process_events(context: Any) -> Callable[[], None]:
    """Let the application do what is due."""
    return context.process_events


@pytest.fixture
def screenshot(context: Any) -> Callable[..., Any]:
    """`screenshot(name, widget=None)`: a PNG in the folder IMAGETRANSLATION_SCREENSHOTS, if that is set."""
    return context.screenshot


@pytest.fixture
def slice_pixels(context: Any) -> Callable[[str], Any]:
    """(row, column, RGB) pixels of the slice view of that name."""
    return context.pixels


@pytest.fixture
def dialogs(a_slicer_app: Any) -> Any:
    """Answers to modal dialogs: `dialogs.will_press("OK")`, `dialogs.will_choose_file(path)`; `dialogs.texts` after."""
    from standins import outside

    return outside.dialogs


@pytest.fixture
def main_thread(context: Any) -> Any:
    """Measures how long the event loop was held up: `with main_thread.watched() as gaps: ...`, then `max(gaps)`."""
    from standins.driver import MainThreadWatch

    return MainThreadWatch()
