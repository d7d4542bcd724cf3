"""The slice views themselves, drawn in this process: right slice, right way round, linked, marked."""

from __future__ import annotations

import numpy as np
import pytest

from imagetranslation import appearance, slices
from imagetranslation.browser.cases import LoadedCase
from imagetranslation.browser.viewstate import MODES, Choice, pane_text, panes
from imagetranslation.mrml.corner import AMBER

from .conftest import a_loaded_case, a_lopsided_volume

SIZE = (360, 340)


def turned(degrees: float) -> tuple[float, ...]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (c, -s, 0, s, c, 0, 0, 0, 1)


class Room:
    """Three drawn views and the stage that fills them."""

    def __init__(self) -> None:
        from trame_slicer.core import SlicerApp
        from trame_slicer.views import NoScheduleRendering, SliceView

        from imagetranslation.browser.stage import Stage

        self.app = SlicerApp()
        self.views = [SliceView(self.app.scene, self.app.app_logic, name) for name in ("left", "middle", "right")]
        self.heard: list[str] = []
        self.stage = Stage(
            self.app.scene, self.views,
            on_slice=lambda: self.heard.append("slice"), on_window=lambda: self.heard.append("window"),
        )  # fmt: skip
        for view in self.views:
            view.set_scheduled_render(NoScheduleRendering())
            view.update_size(*SIZE)
            view.interactor().InvokeEvent("WindowResizeEvent")

    def show(self, case: LoadedCase, choice: Choice | None = None, square_mm: float = 8.0) -> tuple:
        shown = panes(choice or Choice(), case)
        self.stage.show_panes(shown, square_mm=square_mm, swapped=(choice or Choice()).swapped)
        return shown

    def picture(self, number: int) -> np.ndarray:
        """What view `number` shows: uint8 (row down, column, RGB)."""
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

        window = self.views[number].render_window()
        window.Render()
        grab = vtkWindowToImageFilter()
        grab.SetInput(window)
        grab.ReadFrontBufferOff()
        grab.ShouldRerenderOff()
        grab.Update()
        columns, rows, _ = grab.GetOutput().GetDimensions()
        return vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(rows, columns, -1)[::-1].copy()

    def wheel(self, number: int, event: str = "MouseWheelForwardEvent") -> None:
        interactor = self.views[number].interactor()
        interactor.SetEventInformation(SIZE[0] // 2, SIZE[1] // 2, 0, 0, "\0", 0, "")
        interactor.InvokeEvent("MouseMoveEvent")
        interactor.InvokeEvent(event)

    def offsets(self) -> list[float]:
        return [view.get_slice_value() for view in self.views]


@pytest.fixture(scope="module")
def the_room(drawing):
    return Room()


@pytest.fixture
def a_case():
    return a_loaded_case(a_lopsided_volume())


@pytest.fixture
def a_room(the_room, a_case):
    the_room.stage.show_case(a_case)
    the_room.stage.set_plane("axial")
    the_room.show(a_case)
    the_room.heard.clear()
    return the_room


def expected(case: LoadedCase, image: str, plane: str, number: int) -> np.ndarray:
    """The slice as `slices` and `appearance` define it, at the size it has in a view: 0 to 255."""
    from PIL import Image

    volume = getattr(case, image)
    shown = slices.picture(volume, plane, number)
    grey = (255 * appearance.windowed(shown.pixels, appearance.default_window(volume))).astype(np.uint8)
    scale = min(SIZE[0] / shown.width_mm, SIZE[1] / shown.height_mm)
    size = (round(shown.width_mm * scale), round(shown.height_mm * scale))
    return np.asarray(Image.fromarray(np.ascontiguousarray(grey)).resize(size, Image.Resampling.BILINEAR)).astype(float)


def middle_of(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    top, left = ((have - want) // 2 for have, want in zip(picture.shape, shape))
    return picture[top : top + shape[0], left : left + shape[1], 0].astype(float)


def middle_of_rgb(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    top, left = ((have - want) // 2 for have, want in zip(picture.shape, shape))
    return picture[top : top + shape[0], left : left + shape[1], :3].astype(float)


def mean_error(picture: np.ndarray, wanted: np.ndarray) -> float:
    """Mean absolute grey difference, away from the edge and the text."""
    inner = (slice(50, -12), slice(12, -12))
    return float(np.abs(middle_of(picture, wanted.shape)[inner] - wanted[inner]).mean())


def amber(picture: np.ndarray) -> int:
    """Pixels of the mark's colour in the corner where the text stands."""
    corner = picture[:60].astype(int)
    return int((np.abs(corner[..., :3] - np.round(255 * np.array(AMBER))).sum(axis=2) < 60).sum())


@pytest.mark.parametrize("plane", slices.PLANES)
@pytest.mark.parametrize("direction", [turned(0), (-1, 0, 0, 0, -1, 0, 0, 0, 1), (0, 0, 1, 1, 0, 0, 0, -1, 0)])
def test_every_view_shows_the_slice_the_sheet_would_show(the_room, plane, direction):
    case = a_loaded_case(a_lopsided_volume(direction=direction, origin=(5.0, -7.0, 11.0)))
    the_room.stage.show_case(case)
    the_room.show(case)
    the_room.stage.set_plane(plane)
    for number in (3, slices.slice_count(case.source, plane) - 4):
        the_room.stage.set_number(number)
        for view, image in enumerate(("source", "synthetic", "reference")):
            assert mean_error(the_room.picture(view), expected(case, image, plane, number)) < 4


def test_an_oblique_volume_is_cut_along_its_own_slices(the_room):
    case = a_loaded_case(a_lopsided_volume(direction=turned(25)))
    the_room.stage.show_case(case)
    the_room.show(case)
    for plane in slices.PLANES:
        the_room.stage.set_plane(plane)
        the_room.stage.set_number(5)
        assert mean_error(the_room.picture(0), expected(case, "source", plane, 5)) < 4


def test_the_wheel_in_any_view_moves_all_views_by_one_slice(a_room, a_case):
    for view in range(3):
        before = a_room.stage.number
        a_room.wheel(view)
        assert a_room.stage.number == before + 1
        assert a_room.offsets() == pytest.approx([a_room.offsets()[0]] * 3)
        for other, image in enumerate(("source", "synthetic", "reference")):
            assert mean_error(a_room.picture(other), expected(a_case, image, "axial", before + 1)) < 4
    assert a_room.heard.count("slice") == 3
    a_room.wheel(0, "MouseWheelBackwardEvent")
    assert a_room.stage.number == before


def test_numbers_beyond_the_ends_stop_at_the_ends(a_room, a_case):
    a_room.stage.set_number(10**6)
    assert a_room.stage.number == slices.slice_count(a_case.source, "axial") - 1
    a_room.wheel(0)
    assert a_room.stage.number == slices.slice_count(a_case.source, "axial") - 1
    a_room.stage.set_number(-5)
    assert a_room.stage.number == 0


@pytest.mark.parametrize("mode", MODES)
def test_the_mark_is_drawn_in_every_view_that_shows_anything_synthetic(a_room, a_case, mode):
    for opacity in (0.0, 0.3, 1.0):
        shown = a_room.show(a_case, Choice(mode, opacity=opacity))
        for view, pane in enumerate(shown):
            text = pane_text(pane, a_case)
            assert a_room.stage.corners[view].text == text
            assert (amber(a_room.picture(view)) > 150) == text.startswith("SYNTHETIC")


def test_the_mark_stays_whole_in_a_narrow_view(a_room, a_case):
    view = a_room.views[1]
    try:
        view.update_size(120, 300)
        picture = a_room.picture(1)
    finally:
        view.update_size(*SIZE)
    marked = np.abs(picture[..., :3].astype(int) - np.round(255 * np.array(AMBER))).sum(axis=2) < 60
    assert marked.sum() > 100
    assert not marked[:, -2:].any()


def test_a_fade_is_the_mixture_of_both(a_room, a_case):
    a_room.show(a_case, Choice("fade", "reference", 0.25))
    below, above = (expected(a_case, image, "axial", a_room.stage.number) for image in ("reference", "synthetic"))
    assert mean_error(a_room.picture(0), appearance.faded(below, above, 0.25)) < 4


@pytest.mark.parametrize("swapped", [False, True])
def test_a_checkerboard_shows_each_image_unchanged_in_its_squares(a_room, a_case, swapped):
    a_room.show(a_case, Choice("checkerboard", swapped=swapped), square_mm=10)
    number = a_room.stage.number
    source, synthetic = (expected(a_case, image, "axial", number) for image in ("source", "synthetic"))
    picture = middle_of(a_room.picture(0), source.shape)
    is_source, is_synthetic = np.abs(picture - source) < 6, np.abs(picture - synthetic) < 6
    apart = np.abs(source - synthetic) > 20
    apart[:50] = False
    assert (is_source | is_synthetic)[apart].mean() > 0.93
    assert 0.4 < is_synthetic[apart].mean() < 0.6
    axis_mask = appearance.checkerboard(a_case.synthetic, 10, 0) ^ swapped
    mask = slices.picture(a_case.synthetic.with_array(axis_mask), "axial", number).pixels
    rows = (np.arange(source.shape[0]) * mask.shape[0] // source.shape[0])[:, None]
    columns = np.arange(source.shape[1]) * mask.shape[1] // source.shape[1]
    assert (is_synthetic == mask[rows, columns])[apart].mean() > 0.85


def test_the_difference_is_blue_where_less_and_orange_where_more(a_room, a_case):
    a_room.show(a_case, Choice("difference"))
    picture = a_room.picture(2).astype(int)
    percent = appearance.difference_percent(a_case.synthetic, a_case.reference)
    wanted = slices.picture(a_case.synthetic.with_array(percent), "axial", a_room.stage.number).pixels
    rows, columns = wanted.shape
    scale = min(SIZE[0] / columns, SIZE[1] / (rows * 1.2))
    for row, column in ((rows // 2, columns // 2), (rows - 5, 5), (rows // 2, columns - 6), (rows - 4, 1)):
        y = SIZE[1] / 2 + (row + 0.5 - rows / 2) * scale * 1.2
        x = SIZE[0] / 2 + (column + 0.5 - columns / 2) * scale
        colour = appearance.difference_colours(np.array(wanted[row, column]))
        assert np.abs(picture[int(y), int(x), :3] - colour).max() < 25


def test_the_uncertainty_lies_over_the_synthetic_image_in_the_legends_colours(a_room, a_case):
    shown = a_room.show(a_case, Choice("uncertainty", opacity=1.0))
    assert [pane.background for pane in shown] == ["source", "synthetic", "synthetic"]
    number = a_room.stage.number
    synthetic = expected(a_case, "synthetic", "axial", number)
    fraction = slices.picture(a_case.uncertainty, "axial", number).pixels / 40
    assert appearance.uncertainty_limit(a_case.uncertainty.array) == 40
    picture = middle_of_rgb(a_room.picture(2), synthetic.shape)
    rows, columns = fraction.shape
    for column in (1, columns // 3, columns // 2, columns - 3):
        y, x = synthetic.shape[0] * 3 // 4, int((column + 0.5) * synthetic.shape[1] / columns)
        *colour, alpha = appearance.uncertainty_colours(fraction[rows * 3 // 4, column]).astype(float)
        wanted = synthetic[y, x] * (1 - alpha / 255) + np.array(colour) * alpha / 255
        assert np.abs(picture[y, x] - wanted).max() < 30
    assert mean_error(a_room.picture(1), synthetic) < 4


def test_windows_are_set_read_reset_and_kept_apart(a_room, a_case):
    a_room.stage.set_window("synthetic", 10, 30)
    assert a_room.stage.window("synthetic") == (10, 30)
    assert a_room.stage.window("source") == pytest.approx(appearance.default_window(a_case.source))
    assert "window" in a_room.heard
    a_room.stage.reset_window("synthetic")
    assert a_room.stage.window("synthetic") == pytest.approx(appearance.default_window(a_case.synthetic))


def test_another_case_replaces_the_first_and_leaves_nothing_behind(a_room):
    scene = a_room.app.scene
    sizes = []
    for number in range(4):
        case = a_loaded_case(a_lopsided_volume((10, 12, 14 + number)), reference=number % 2 == 0)
        a_room.stage.show_case(case)
        for mode in MODES:
            a_room.show(case, Choice(mode))
        sizes.append(scene.GetNumberOfNodes())
    assert sizes[2] == sizes[0]
    assert sizes[3] == sizes[1]
    assert a_room.stage.window("reference") is None


def test_a_single_slice_is_shown_in_the_plane_it_lies_in(the_room):
    case = a_loaded_case(a_lopsided_volume((1, 30, 40)))
    the_room.stage.show_case(case)
    the_room.show(case)
    assert (the_room.stage.plane, the_room.stage.number) == ("axial", 0)
    the_room.wheel(0)
    assert the_room.stage.number == 0
    assert mean_error(the_room.picture(0), expected(case, "source", "axial", 0)) < 4


def test_volume_rendering_is_never_switched_on(a_room):
    scene = a_room.app.scene
    classes = {scene.GetNthNode(n).GetClassName() for n in range(scene.GetNumberOfNodes())}
    assert not [name for name in classes if "VolumeRendering" in name]
