"""The radiomics panel's logic: regions drawn or read, the comparison that follows them, what the page shows of both.

Drawing is `drawing`'s, computing `comparing`'s; rows, texts and points are `radiomics.comparisonview` and
`comparisonplots`. The page is `radiomicspanel`'s. Every value the page sends is checked here or in `pagevalues`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, ImageTranslationError, InputError
from ..radiomics.comparison import Comparison
from ..radiomics.engine import FEATURE_SETS
from ..radiomics.roi import Grid, Roi, check_usable, grid_difference
from ..radiomics.settings import Settings
from ..volume import Volume
from . import pagevalues
from .comparing import ComparingProcess, in_thread
from .drawing import POINTER, TOOLS, Drawing, Kept
from .radiomicsfiles import MOST_REGIONS, RadiomicsFiles
from .radiomicstable import RadiomicsTable

if TYPE_CHECKING:
    from trame_server import Server

    from .cases import LoadedCase
    from .stage import Stage

logger = logging.getLogger(__name__)

# The brush rests so long before a comparison follows it.
REST_S = 0.6
STARTING = "The radiomics engine is starting."


class RadiomicsDesk:
    """What the panel of one viewer knows and does. stage: shows the case; its source is drawn on."""

    def __init__(self, server: Server, slicer_app: Any, stage: Stage) -> None:
        self._server, self._state, self._stage = server, server.state, stage
        self._drawing = Drawing(slicer_app, on_change=self._drawn, on_brush=self._brushed)
        self._process = ComparingProcess()
        self.table = RadiomicsTable(server.state)
        self._files = RadiomicsFiles(
            server.state, self._process, self._drawing, self.table, images=lambda: self._images,
            on_cohort=self._take_cohort, say=self._say,
        )  # fmt: skip
        self._case: LoadedCase | None = None
        self._index = -1
        self._kept: dict[int, list[Kept]] = {}
        self._images: dict[str, Volume] = {}
        self._engines: dict[str, str] | None = None
        self._cohort: Any = None
        self._roi: Roi | None = None
        # What the table is of, and what was asked for last: region, settings, features, cohort.
        self._compared: tuple[object, ...] = ()
        self._asked: tuple[object, ...] = ()
        self._running: threading.Event | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._set_defaults()
        self._listen()

    def case_leaves(self) -> None:
        """Before the stage shows another case: put the drawing aside."""
        self._stop()
        if self._case is not None:
            self._kept[self._index] = self._drawing.close()
        self._case = None

    def case_shown(self, index: int, case: LoadedCase) -> None:
        """After the stage shows a case: draw on its source, with what was drawn on it before."""
        self._case, self._index = case, index
        given = {"source": case.source, "synthetic": case.synthetic}
        if case.reference is not None and not grid_difference(Grid.of(case.reference), Grid.of(case.source)):
            given["reference"] = case.reference
        self._images = given
        left_out = case.reference is not None and "reference" not in given
        smallest, default, largest = pagevalues.brush_sizes(case.source)
        self._state.update(
            {
                "rx_left_out": pagevalues.LEFT_OUT if left_out else "",
                "rx_brush_range": [smallest, largest], "rx_brush": default,
            }
        )  # fmt: skip
        self._compared = self._asked = ()
        self.table.show(None)
        self._drawing.open(case.source, self._stage.source_node, self._kept.pop(index, []))
        self._drawing.set_brush(default, bool(self._state.rx_ball))
        self._drawing.set_visible(bool(self._state.rx_open))
        if self._engines is not None:
            self._begin(self._files.find_dicom())

    def key(self, name: str) -> bool:
        """Do what a key stands for; False where it is none of the panel's."""
        if name == "measure":
            self._state.rx_open = not self._state.rx_open
            return True
        if not self._state.rx_open:
            return False
        if name.startswith("tool-") and name[5:] in TOOLS:
            self._state.rx_tool = name[5:]
        elif name in ("brush+", "brush-"):
            assert self._case is not None
            factor = 1.25 if name == "brush+" else 0.8
            before = pagevalues.brush_of(self._state.rx_brush, self._case.source)
            self._state.rx_brush = round(pagevalues.brush_of(factor * before, self._case.source), 2)
        elif name in ("undo", "redo", "compare"):
            getattr(self, name)()
        else:
            return False
        return True

    def undo(self) -> None:
        """Take the last change of the drawing back."""
        self._drawing.undo()

    def redo(self) -> None:
        """Make it again."""
        self._drawing.redo()

    def add(self) -> None:
        """Another region."""
        if len(self._drawing.ids()) < MOST_REGIONS:
            self._drawing.add()
        else:
            self._say(f"There are {MOST_REGIONS} regions already; remove one first.")

    def choose(self, segment: object) -> None:
        """Draw on and compare that region."""
        if segment in self._drawing.ids():
            self._drawing.choose(str(segment))

    def remove(self, segment: object) -> None:
        """Take a region away; the last one is emptied."""
        if segment in self._drawing.ids():
            self._drawing.remove(str(segment))

    def rename(self, segment: object, name: object, colour: object) -> None:
        """Give a region another name and colour."""
        words, rgb = pagevalues.name_of(name), pagevalues.colour_of(colour)
        if segment in self._drawing.ids() and words and rgb:
            self._drawing.rename(str(segment), words, rgb)

    def show(self, segment: object, visible: object) -> None:
        """Show or hide a region."""
        if segment in self._drawing.ids():
            self._drawing.show(str(segment), bool(visible))

    def compare(self) -> None:
        """Compare the chosen region, unless there is a reason not to; whatever runs is cancelled."""
        self._stop()
        if self._roi is not None and not self._refusal():
            self._begin(self._compare(self._roi, self._settings(), str(self._state.rx_features)))

    def cancel(self) -> None:
        """Stop the comparison that runs."""
        self._stop()
        self._state.rx_status = "Cancelled."

    def forget_cohort(self) -> None:
        """Compare without the cohort from now on."""
        self._take_cohort(None, "")

    async def _compare(self, roi: Roi, settings: Settings, feature_set: str) -> None:
        state, mine = self._state, threading.Event()
        self._running = mine
        self._asked = of = (roi.sha256, settings, feature_set, id(self._cohort))
        state.update({"rx_running": True, "rx_progress": 0, "rx_status": ""})
        state.flush()
        loop = asyncio.get_running_loop()

        def told(done: int, total: int) -> None:
            loop.call_soon_threadsafe(self._progress, mine, 100 * done / max(total, 1))

        def asked() -> Any:
            return self._process.ask(
                "compare", roi, feature_set, settings, self._cohort, images=self._images, progress=told, cancelled=mine
            )

        try:
            found: Comparison | None = await in_thread(asked)
            sentence = ""
        except Cancelled:
            return
        except ImageTranslationError as error:
            found, sentence = None, str(error)
        except Exception as error:
            logger.error("a comparison", exc_info=error)
            found, sentence = None, f"A fault in this program ({type(error).__name__}); the terminal says more."
        if self._running is not mine:
            return
        self._running, self._compared = None, of
        with state:
            state.rx_running = False
            state.rx_status = sentence
            self._files.compared = roi
            self.table.show(found)
            self._check()

    def _take_cohort(self, cohort: Any, name: str) -> None:
        self._cohort, self._state.rx_cohort = cohort, name
        self._changed_settings()

    def _progress(self, of: threading.Event, percent: float) -> None:
        if self._running is of:
            self._state.rx_progress = round(percent)
            self._state.flush()

    def _stop(self) -> None:
        """Cancel what runs or waits; what it finds is not shown."""
        if timer := self._timers.pop("compare", None):
            timer.cancel()
        if self._running is not None:
            self._running.set()
            self._running = None
        self._state.rx_running = False

    def _drawn(self) -> None:
        """The drawing changed, maybe several times at once: follow it when it is done."""
        self._later("drawn", 0.02, self._follow)

    def _brushed(self, diameter_mm: float) -> None:
        """The wheel changed the brush: the slider follows, within its range."""
        if self._case is None:
            return
        allowed = round(pagevalues.brush_of(diameter_mm, self._case.source), 2)
        self._drawing.set_brush(allowed, bool(self._state.rx_ball))
        self._state.rx_brush = allowed
        self._state.flush()

    def _follow(self) -> None:
        """Tell the page what is drawn, and compare again where that was asked for."""
        if self._case is None:
            return
        with self._state as state:
            state.rx_segments = [
                {"id": each.id, "name": each.name, "colour": each.colour, "voxels": each.voxels,
                 "visible": each.visible, "volume": pagevalues.volume_text(each.voxels, self._case.source)}
                for each in self._drawing.segments()
            ]  # fmt: skip
            state.rx_chosen = self._drawing.chosen
            state.rx_can_undo, state.rx_can_redo = self._drawing.can_undo, self._drawing.can_redo
            self._roi = self._drawing.roi(self._drawing.chosen) if self._drawing.chosen else None
            self._check()

    def _check(self) -> None:
        """Whether Compare can be pressed, whether what is shown is of another region, and what follows from both."""
        state = self._state
        state.rx_refusal = self._refusal()
        now = None if self._roi is None else self._roi.sha256
        wanted = (now, self._settings(), str(state.rx_features), id(self._cohort))
        state.rx_stale = self.table.found is not None and wanted != self._compared
        if self._asked and wanted != self._asked:
            self._stop()
            if state.rx_live and state.rx_open and not state.rx_refusal:
                self._later("compare", REST_S, self.compare)

    def _changed_settings(self, **_: Any) -> None:
        self._later("drawn", 0.02, self._follow)

    def _refusal(self) -> str:
        """Why Compare cannot be pressed, or ""."""
        if self._engines is None:
            return STARTING
        if sentence := self._engines.get(str(self._state.rx_features), "Choose a set of features."):
            return sentence
        if self._roi is None:
            return "Nothing is drawn in this region yet: take the brush (W) or the outline (O) and draw in a view."
        try:
            check_usable(self._roi, self._settings())
        except InputError as error:
            return str(error)
        return ""

    def _settings(self) -> Settings:
        return pagevalues.settings_of(self._state.rx_bins, self._state.rx_normalise)

    async def _find_engines(self) -> None:
        try:
            engines = await in_thread(self._process.ask, "engines")
        except ImageTranslationError as error:
            engines = dict.fromkeys(FEATURE_SETS, str(error))
        self._engines = engines
        with self._state as state:
            state.rx_engines = engines
            if engines.get(str(state.rx_features)):
                state.rx_features = next((name for name, why in engines.items() if not why), state.rx_features)
            self._check()
        await self._files.find_dicom()

    def _later(self, name: str, seconds: float, do: Callable[[], object]) -> None:
        """Once, after so many seconds of rest; before the server runs, at once."""
        if old := self._timers.pop(name, None):
            old.cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            do()
            return
        self._timers[name] = loop.call_later(seconds, do)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say(self, sentence: str) -> None:
        self._state.error, self._state.error_shown = sentence, True
        self._state.flush()

    def _listen(self) -> None:
        state = self._state

        @state.change("rx_open")
        def opened(rx_open: object, **_: Any) -> None:
            self._drawing.set_visible(bool(rx_open))
            self._drawing.use(self._tool() if rx_open else POINTER)
            if rx_open and self._engines is None:
                self._begin(self._find_engines())

        @state.change("rx_tool")
        def tool(**_: Any) -> None:
            self._drawing.use(self._tool() if state.rx_open else POINTER)

        @state.change("rx_brush", "rx_ball")
        def brush(rx_brush: object, rx_ball: object, **_: Any) -> None:
            if self._case is not None:
                self._drawing.set_brush(pagevalues.brush_of(rx_brush, self._case.source), bool(rx_ball))

        @state.change("rx_through")
        def scissors(rx_through: object, **_: Any) -> None:
            self._drawing.set_scissors(through=bool(rx_through))

        state.change("rx_features", "rx_bins", "rx_normalise", "rx_live")(self._changed_settings)
        self._server.trigger("radiomics_read")(self._files.read)
        self._server.trigger("radiomics_file")(self._files.file)

    def _tool(self) -> str:
        return str(self._state.rx_tool) if self._state.rx_tool in TOOLS else POINTER

    def _set_defaults(self) -> None:
        self._state.update(
            {
                "rx_open": False, "rx_tool": "brush", "rx_brush": 5.0, "rx_brush_range": [1.0, 40.0], "rx_ball": False,
                "rx_through": False, "rx_segments": [], "rx_chosen": "", "rx_can_undo": False, "rx_can_redo": False,
                "rx_refusal": STARTING, "rx_engines": {}, "rx_features": "pyradiomics", "rx_bins": 32,
                "rx_normalise": False, "rx_live": True, "rx_running": False, "rx_progress": 0, "rx_status": "",
                "rx_stale": False, "rx_cohort": "", "rx_left_out": "", "rx_large": False,
            }
        )  # fmt: skip
