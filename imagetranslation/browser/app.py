"""The viewer's server: joins the page's state to the stage and starts listening.

Words and layouts come from `viewstate`, drawing from `stage`, the page from `page`; this file decides nothing but what
follows what.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .. import appearance, slices
from ..errors import ImageTranslationError, InputError, RunFailed
from .cases import Case, LoadedCase, matching, safe_name
from .opengl import opengl_available
from .surroundings import no_arguments, require_free, unwarned
from .viewstate import (
    MODES,
    NO_UNCERTAINTY,
    Choice,
    details,
    difference_legend,
    difference_partner,
    pane_text,
    panes,
    partners,
    uncertainty_legend,
    uncertainty_title,
)

if TYPE_CHECKING:
    from trame_server import Server

logger = logging.getLogger(__name__)

VIEWS = ("left", "middle", "right")
IMAGES = ("source", "synthetic", "reference")
# Frames a second at most; the same for views the pointer is not in, because linked views move with it.
FRAMES = 30.0
STEPS = {"next": 1, "previous": -1, "next5": 5, "previous5": -5, "first": -(10**6), "last": 10**6}


def serve(
    cases: Sequence[Case],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    open_browser: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Show the cases in a web page until the process is interrupted.

    port: 0 takes a free one. ready: called with the page's address once it can be opened; by default it is printed.
    The address holds a secret made for this run, without which the page cannot be opened (see `guard`).
    One scene a process: every tab shows the same. Raises InputError for no cases or when none can be read, RunFailed
    when this machine cannot draw (with the line that installs what is missing) or the port is taken.
    """
    if not cases:
        raise InputError("There is no case to show.")
    missing = opengl_available()
    if missing:
        raise RunFailed(missing)
    require_free(host, port)
    with no_arguments():
        from trame.app import get_server

        from . import guard

        server = get_server("imagetranslation", client_type="vue3")
        Viewer(server, cases)
        secret = guard.new_secret()
        server.cli.set_defaults(authKey=secret)
        # For `static/viewer.js`; the state reaches only clients that gave the secret.
        server.state.page_secret = secret
        server.controller.on_server_bind.add(
            lambda web_server: web_server.app.middlewares.append(guard.middleware(host, secret))
        )

        def announce(**_: object) -> None:
            address = guard.page_address(host, server.port, secret)
            (ready or (lambda text: print(f"The viewer is at {text}  (stop it with Ctrl+C)", flush=True)))(address)
            if open_browser:
                webbrowser.open(address)

        server.controller.on_server_ready.add(announce)
        server.start(
            host=host, port=port, open_browser=False, show_connection_info=False, disable_logging=True, timeout=0,
            backend="aiohttp",
        )  # fmt: skip


class Viewer:
    """One page and one scene. `server`: a trame server that has not been started."""

    def __init__(self, server: Server, cases: Sequence[Case]) -> None:
        from trame_slicer import module as trame_slicer_module
        from trame_slicer.core import SlicerApp

        from . import page
        from .radiomicsdesk import RadiomicsDesk
        from .stage import Stage

        self._cases = list(cases)
        self._names = [safe_name(case.name) for case in self._cases]
        self._server, self._state = server, server.state
        self._moving_window = False
        # asyncio itself keeps no task alive.
        self._tasks: set[asyncio.Task[None]] = set()
        server.enable_module(trame_slicer_module)
        server.enable_module(page.assets())
        # Kept, because the scene's nodes do not keep the application logic they need alive.
        self._slicer_app = SlicerApp()
        with unwarned():
            views = _views(server, self._slicer_app)
            self._stage = Stage(
                self._slicer_app.scene, views, on_slice=self._slice_followed, on_window=self._windows_followed
            )
        self._set_defaults()
        self._desk = RadiomicsDesk(server, self._slicer_app, self._stage)
        self._open_first()
        self._listen()
        self.layout = page.build(server, [server.translator.translate_key(name) for name in VIEWS], self, self._desk)

    def step(self, slices: int) -> None:
        """Leaf by so many slices, stopping at the ends."""
        self._stage.set_number(self._stage.number + slices)
        self._slice_followed()

    def swap(self) -> None:
        """Exchange the two images in place; a fade goes to its other end."""
        if self._state.mode == "fade":
            self._state.opacity = 0.0 if self._state.opacity > 0.5 else 1.0
        else:
            self._state.swapped = not self._state.swapped
        self._show()

    def reset(self) -> None:
        """Undo zoom, position and all windows."""
        self._stage.fit()
        for image in IMAGES:
            self._stage.reset_window(image)

    def reset_window(self, image: str) -> None:
        """Undo one image's window."""
        self._stage.reset_window(image)

    def open_case(self, index: int) -> None:
        """Read another case without holding up the page, then show it; a case that cannot be read leaves the old."""
        self._state.case_index = index
        self._state.loading = True
        task = asyncio.get_running_loop().create_task(self._read_and_show(index))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def key(self, name: str) -> None:
        """Do what a key of `static/viewer.js` stands for."""
        state = self._state
        if not isinstance(name, str) or self._desk.key(name):
            return
        if name in STEPS:
            self.step(STEPS[name])
        elif name in state.planes:
            state.plane = name
        elif name in MODES and not (name in ("difference", "uncertainty") and state[f"{name}_refusal"]):
            state.mode = name
        elif name == "swap":
            self.swap()
        elif name == "reset":
            self.reset()
        elif name == "help":
            state.help_open = not state.help_open
        elif name in ("case+", "case-"):
            index = state.case_index + (1 if name == "case+" else -1)
            if 0 <= index < len(self._cases):
                self.open_case(index)

    async def _read_and_show(self, index: int) -> None:
        case: LoadedCase | None = None
        try:
            case = await asyncio.get_running_loop().run_in_executor(None, self._cases[index].load)
        except Exception as error:  # noqa: BLE001  one bad case must not hold up the page
            sentence = self._sentence(error, index)
        with self._state as state:
            if state.case_index != index:
                return
            state.loading = False
            if case is not None:
                self._show_or_go_back(case, index)
            else:
                state.case_index = self._shown_index
                state.error, state.error_shown = sentence, True

    def _show_or_go_back(self, case: LoadedCase, index: int) -> None:
        """Show the case; one that cannot be shown is told, and the case shown before is put back."""
        before, shown = self._stage.case, self._shown_index
        try:
            self._show_case(case, index)
        except Exception as error:  # noqa: BLE001  the others can still be shown
            self._state.error, self._state.error_shown = self._sentence(error, index), True
            self._show_case(before, shown)

    def _sentence(self, error: Exception, index: int) -> str:
        """What the page says of a case that cannot be read or shown.

        What nobody foresaw goes to the terminal in full, and to the page by its kind alone: it may name a patient.
        """
        if isinstance(error, ImageTranslationError):
            return str(error)
        logger.error("%s", self._names[index], exc_info=error)
        return (
            f"{self._names[index]} cannot be shown because of a fault in this program ({type(error).__name__}); "
            "the terminal that started the viewer says more."
        )

    def _open_first(self) -> None:
        """Show the first case that can be read and shown; where there is none, the last refusal is raised."""
        refusal: Exception | None = None
        for index, case in enumerate(self._cases):
            try:
                self._show_case(case.load(), index)
            except Exception as error:
                if len(self._cases) == 1:
                    raise
                refusal = error
                self._state.error, self._state.error_shown = self._sentence(error, index), True
            else:
                return
        raise refusal or InputError("There is no case to show.")

    def _show_case(self, case: LoadedCase, index: int) -> None:
        state, stage = self._state, self._stage
        self._shown_index = index
        self._desk.case_leaves()
        with self._window_moved_here():
            stage.show_case(case)
        smallest, default, largest = appearance.square_sizes(case.source)
        state.update(
            {
                "case_index": index,
                "case_name": case.name,
                "trame__title": f"{case.name} \N{MIDDLE DOT} Image translation",
                "planes": list(slices.useful_planes(case.source)),
                "plane": stage.plane,
                "images": [image for image in IMAGES if stage.window(image)],
                "modalities": {
                    image: volume.modality if (volume := getattr(case, image)) is not None else "" for image in IMAGES
                },
                "partners": list(partners(case)),
                "partner": state.partner if state.partner in partners(case) else "source",
                "difference_refusal": difference_partner(case)[1] or "",
                "legend": difference_legend(case),
                "uncertainty_refusal": NO_UNCERTAINTY if case.uncertainty is None else "",
                "uncertainty_title": uncertainty_title(case),
                "uncertainty_legend": uncertainty_legend(case),
                "uncertainty_limit": (
                    1.0 if case.uncertainty is None else appearance.uncertainty_limit(case.uncertainty.array)
                ),
                "details": details(case),
                "notes": list(case.notes),
                "notes_open": True,
                "square": round(default, 1),
                "square_range": [round(smallest, 1), round(largest, 1), 0.1],
            }
        )
        if state.mode in ("difference", "uncertainty") and state[f"{state.mode}_refusal"]:
            state.mode = MODES[0]
        for image in state.images:
            least, greatest = appearance.full_range(getattr(case, image))
            step = _step(greatest - least)
            state[f"range_{image}"] = [round(least, 6), round(greatest, 6), step]
        self._windows_followed()
        self._slice_followed()
        self._show()
        self._desk.case_shown(index, case)

    def _show(self) -> None:
        """Put the chosen images into the views and their words into the page."""
        state, case = self._state, self._stage.case
        chosen = panes(Choice(state.mode, state.partner, float(state.opacity), bool(state.swapped)), case)
        self._slicer_app.view_manager.set_current_view_ids(list(VIEWS[: len(chosen)]))
        self._stage.show_panes(chosen, square_mm=float(state.square), swapped=bool(state.swapped))
        texts = [pane_text(pane, case) for pane in chosen]
        unused = [""] * (len(VIEWS) - len(chosen))
        state.pane_count = len(chosen)
        state.pane_texts = texts + unused
        state.pane_synthetic = [corner_is_synthetic(text) for text in state.pane_texts]

    def _slice_followed(self) -> None:
        state, stage = self._state, self._stage
        state.slice_count = slices.slice_count(stage.case.source, stage.plane)
        state.slice_shown = stage.number + 1
        state.letters = list(slices.side_letters(stage.plane))
        state.flush()

    def _windows_followed(self) -> None:
        if self._moving_window:
            return
        for image in IMAGES:
            window = self._stage.window(image)
            if window is not None:
                self._state[f"window_{image}"] = [round(end, _decimals(window[1] - window[0])) for end in window]
        self._state.flush()

    def _listen(self) -> None:
        state = self._state

        @state.change("slice_shown")
        def slide(slice_shown: int, **_: Any) -> None:
            self._stage.set_number(int(slice_shown) - 1)

        @state.change("plane")
        def turn(plane: str, **_: Any) -> None:
            if plane != self._stage.plane:
                self._stage.set_plane(plane)
                self._slice_followed()
                self._show()

        @state.change("mode", "partner", "opacity", "square")
        def show(**_: Any) -> None:
            self._show()

        @state.change("mode")
        def unswap(**_: Any) -> None:
            if state.swapped:
                state.swapped = False
                self._show()

        @state.change("search")
        def search(search: str | None, **_: Any) -> None:
            state.cases = self._listed(search or "")

        for image in IMAGES:
            state.change(f"window_{image}")(self._window_setter(image))
        self._server.trigger("viewer_key")(self.key)

    def _window_setter(self, image: str) -> Callable[..., None]:
        def set_window(**states: Any) -> None:
            lower, upper = (float(end) for end in states[f"window_{image}"])
            with self._window_moved_here():
                self._stage.set_window(image, lower, upper)

        return set_window

    @contextlib.contextmanager
    def _window_moved_here(self) -> Iterator[None]:
        """Windows changed in here are not reported back to the page."""
        self._moving_window = True
        try:
            yield
        finally:
            self._moving_window = False

    def _listed(self, search: str) -> list[dict[str, Any]]:
        return [{"index": n, "name": self._names[n]} for n in matching(self._names, search)]

    def _set_defaults(self) -> None:
        state = self._state
        state.update(
            {
                "cases": self._listed(""), "case_count": len(self._cases), "search": "",
                "cases_open": len(self._cases) > 1, "tools_open": True, "help_open": False, "loading": False,
                "error": "", "error_shown": False, "mode": MODES[0], "partner": "source", "opacity": 0.5,
                "swapped": False, "square": 1.0, "trame__favicon": _favicon(),
            }
        )  # fmt: skip
        for image in IMAGES:
            state[f"window_{image}"], state[f"range_{image}"] = [0.0, 1.0], [0.0, 1.0, 0.01]


def corner_is_synthetic(text: str) -> bool:
    """Whether a view's words carry the mark."""
    from ..provenance import MARK

    return text.startswith(MARK)


def _views(server: Server, slicer_app: Any) -> list[Any]:
    """The slice views, whose pictures are sent without loss and at the same pace wherever the pointer is."""
    from trame_slicer.rca_view import RemoteSliceViewFactory
    from trame_slicer.views import ViewLayoutDefinition, ViewProps, ViewType

    slicer_app.view_manager.register_factory(
        RemoteSliceViewFactory(server, target_fps=FRAMES, blur_fps=FRAMES, interactive_quality=90, rca_encoder="png")
    )
    look = {"orientation": "Axial", "group": 0, "background_color": "#000000"}
    return [
        slicer_app.view_manager.create_view(
            ViewLayoutDefinition(name, ViewType.SLICE_VIEW, ViewProps(label=name, color="#5cc8ff", **look))
        )
        for name in VIEWS
    ]


def _step(span: float) -> float:
    """Step of a window slider: whole numbers for wide ranges, otherwise a 500th with one significant digit."""
    return 1.0 if span >= 100 else float(f"{span / 500:.0e}")


def _decimals(span: float) -> int:
    return 0 if span >= 50 else 2 if span >= 1 else 4


def _favicon() -> str:
    from base64 import b64encode

    from .page import STATIC

    return "data:image/svg+xml;base64," + b64encode((STATIC / "favicon.svg").read_bytes()).decode()
