"""Drawing in the slice views themselves: which voxels a stroke takes, undo, segments, regions in and out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imagetranslation.browser.drawing import BRUSH, ERASER, OUTLINE, POINTER, SCISSORS, Drawing
from imagetranslation.browser.viewstate import Choice, panes
from imagetranslation.radiomics.roi import Grid, Roi
from imagetranslation.volume import Volume, index_to_lps

from .conftest import a_loaded_case, a_lopsided_volume

SIZE = (360, 340)
MIDDLE = (SIZE[0] // 2, SIZE[1] // 2)
TILTED = tuple(np.linalg.qr(np.array([[0.9, 0.3, 0.1], [-0.3, 0.9, 0.2], [0.0, -0.2, 1.0]]))[0].ravel())


class Room:
    """Three views, a stage and a drawing over it; a mouse."""

    def __init__(self) -> None:
        from trame_slicer.core import SlicerApp
        from trame_slicer.views import (
            DirectViewFactory,
            NoScheduleRendering,
            ViewLayoutDefinition,
            ViewProps,
            ViewType,
        )

        from imagetranslation.browser.stage import Stage

        self.app = SlicerApp()
        self.app.view_manager.register_factory(DirectViewFactory(True))
        self.views = [
            self.app.view_manager.create_view(
                ViewLayoutDefinition(name, ViewType.SLICE_VIEW, ViewProps(label=name, orientation="Axial", group=0))
            )
            for name in ("left", "middle", "right")
        ]
        self.stage = Stage(self.app.scene, self.views, on_slice=lambda: None, on_window=lambda: None)
        for view in self.views:
            view.set_scheduled_render(NoScheduleRendering())
            view.update_size(*SIZE)
            view.interactor().InvokeEvent("WindowResizeEvent")
        self.changes = 0
        self.drawing = Drawing(self.app, on_change=self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def show(self, source: Volume, plane: str = "axial") -> None:
        self.drawing.close()
        case = a_loaded_case(source)
        self.stage.show_case(case)
        self.stage.set_plane(plane)
        self.stage.show_panes(panes(Choice(), case), square_mm=8.0, swapped=False)
        self.drawing.open(source, self.stage.source_node)
        self.drawing.set_brush(8.0, False)
        self.drawing.set_scissors(through=False)
        self.drawing.use(POINTER)

    def drag(self, *points: tuple[int, int], view: int = 0) -> None:
        self._event(view, "MouseMoveEvent", points[0])
        self._event(view, "LeftButtonPressEvent", points[0])
        for point in points[1:]:
            self._event(view, "MouseMoveEvent", point)
        self._event(view, "LeftButtonReleaseEvent", points[-1])

    def _event(self, view: int, name: str, point: tuple[int, int]) -> None:
        interactor = self.views[view].interactor()
        interactor.SetEventInformation(*point, 0, 0, "\0", 0, "")
        interactor.InvokeEvent(name)

    def mask(self) -> np.ndarray:
        """What is drawn in the chosen segment, on the whole grid."""
        roi = self.drawing.roi(self.drawing.chosen)
        return np.zeros(self.stage.case.source.array.shape, bool) if roi is None else roi.full() > 0

    def lps(self, point: tuple[int, int], view: int = 0) -> np.ndarray:
        """The place in the patient under a point of a view."""
        ras = self.views[view].get_view_node().GetXYToRAS().MultiplyPoint([*point, 0, 1])
        return np.array(ras[:3]) * (-1, -1, 1)


@pytest.fixture(scope="module")
def the_room(drawing) -> Room:
    return Room()


@pytest.fixture
def a_room(the_room) -> Room:
    the_room.show(a_lopsided_volume())
    return the_room


def distances(volume: Volume, place: np.ndarray) -> np.ndarray:
    """(k, j, i) mm from each voxel's centre to a place in LPS."""
    k, j, i = np.indices(volume.array.shape)
    centres = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ index_to_lps(volume).T
    return np.linalg.norm(centres[..., :3] - place, axis=-1)


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal"])
@pytest.mark.parametrize("direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), TILTED], ids=["straight", "oblique"])
def test_the_brush_takes_the_voxels_under_it_on_the_slice_shown_and_no_others(the_room, plane, direction):
    source = a_lopsided_volume(spacing=(1.0, 1.1, 1.3), direction=direction, origin=(5.0, -7.0, 11.0))
    the_room.show(source, plane)
    the_room.drawing.use(BRUSH)
    point = (MIDDLE[0] + 31, MIDDLE[1] - 17)
    the_room.drag(point)
    drawn, place = the_room.mask(), the_room.lps(point)
    away = distances(source, place)
    assert drawn.any()
    slices_drawn = [np.unique(index).size for index in np.nonzero(drawn)]
    assert slices_drawn.count(1) == 1
    # The glyph is put on whole voxels: half a voxel's diagonal is as near as it can be.
    half = np.linalg.norm(source.spacing) / 2
    assert away[drawn].max() <= 4.0 + 2 * half
    axis = slices_drawn.index(1)
    on_slice = np.zeros_like(drawn)
    np.moveaxis(on_slice, axis, 0)[np.nonzero(drawn)[axis][0]] = True
    assert drawn[on_slice & (away <= 4.0 - 2 * half)].all()


def test_the_ball_also_takes_the_slices_beside(a_room):
    a_room.drawing.use(BRUSH)
    a_room.drag(MIDDLE)
    disc = np.unique(np.nonzero(a_room.mask())[0])
    a_room.drawing.set_brush(14.0, True)
    a_room.drag(MIDDLE)
    ball = np.unique(np.nonzero(a_room.mask())[0])
    assert disc.size == 1
    assert ball.size >= 5
    assert ball[ball.size // 2] == disc[0]


def test_a_stroke_in_any_view_draws_the_same_region_over_all_images(a_room):
    a_room.drawing.use(BRUSH)
    a_room.drag(MIDDLE, view=0)
    first = a_room.mask()
    a_room.drawing.undo()
    a_room.drag(MIDDLE, view=1)
    assert (a_room.mask() == first).all()
    assert first.any()


def test_the_eraser_takes_away_what_the_brush_drew(a_room):
    a_room.drawing.use(BRUSH)
    a_room.drag(MIDDLE, (MIDDLE[0] + 80, MIDDLE[1]))
    whole = a_room.mask()
    a_room.drawing.use(ERASER)
    a_room.drag((MIDDLE[0] + 80, MIDDLE[1]))
    rest = a_room.mask()
    assert 0 < rest.sum() < whole.sum()
    assert not (rest & ~whole).any()


def square(size: int) -> list[tuple[int, int]]:
    x, y = MIDDLE
    return [(x - size, y - size), (x + size, y - size), (x + size, y + size), (x - size, y + size)]


def test_the_outline_is_filled_on_the_slice_shown(a_room):
    a_room.drawing.use(OUTLINE)
    a_room.drag(*square(60))
    drawn = a_room.mask()
    k, j, i = (np.unique(index) for index in np.nonzero(drawn))
    assert k.tolist() == [a_room.stage.number]
    assert drawn.sum() == j.size * i.size
    across = np.linalg.norm(a_room.lps(square(60)[0]) - a_room.lps(square(60)[1]))
    assert i.size == pytest.approx(across / 1.0, abs=1.5)
    assert j.size == pytest.approx(across / 1.2, abs=1.5)


@pytest.mark.parametrize("through", [False, True])
def test_the_scissors_cut_the_slice_shown_or_all_of_them(a_room, through):
    a_room.drawing.set_brush(20.0, True)
    a_room.drawing.use(BRUSH)
    a_room.drag(MIDDLE)
    before = a_room.mask()
    a_room.drawing.set_scissors(through=through)
    a_room.drawing.use(SCISSORS)
    a_room.drag(*square(150))
    cut = np.unique(np.nonzero(before & ~a_room.mask())[0])
    assert cut.tolist() == (np.unique(np.nonzero(before)[0]).tolist() if through else [a_room.stage.number])


def test_undo_and_redo_give_every_voxel_back(a_room):
    states = [a_room.mask()]
    for tool, points in ((BRUSH, [MIDDLE, (220, 200)]), (OUTLINE, square(40)), (ERASER, [MIDDLE])):
        a_room.drawing.use(tool)
        a_room.drag(*points)
        states.append(a_room.mask())
    for state in reversed(states[:-1]):
        a_room.drawing.undo()
        assert (a_room.mask() == state).all()
    assert not a_room.drawing.can_undo
    for state in states[1:]:
        a_room.drawing.redo()
        assert (a_room.mask() == state).all()
    assert not a_room.drawing.can_redo


def test_drawing_leaves_brightness_alone_and_the_pointer_changes_it(a_room):
    window = a_room.stage.window("source")
    for tool in (BRUSH, ERASER, OUTLINE, SCISSORS):
        a_room.drawing.use(tool)
        a_room.drag(MIDDLE, (200, 230), (220, 260))
    assert a_room.stage.window("source") == window
    a_room.drawing.use(POINTER)
    a_room.drag(MIDDLE, (200, 230), (220, 260))
    assert a_room.stage.window("source") != window


def test_a_second_region_has_its_own_name_and_colour_and_leaves_the_first_as_it_is(a_room):
    drawing = a_room.drawing
    drawing.use(BRUSH)
    a_room.drag(MIDDLE)
    first = drawing.roi(drawing.chosen)
    second = drawing.add()
    assert len({each.colour for each in drawing.segments()}) == 2
    drawing.rename(second, "Necrosis", "#123456")
    a_room.drag((MIDDLE[0] + 20, MIDDLE[1]))
    one, other = drawing.segments()
    assert (one.name, other.name, other.colour) == ("Region 1", "Necrosis", "#123456")
    assert drawing.chosen == other.id
    assert drawing.roi(one.id).sha256 == first.sha256
    drawing.use(ERASER)
    a_room.drag((MIDDLE[0] + 20, MIDDLE[1]))
    assert drawing.roi(one.id).sha256 == first.sha256
    assert drawing.segments()[1].voxels == 0


def test_the_last_region_is_emptied_and_another_is_taken_away_with_undo(a_room):
    drawing = a_room.drawing
    drawing.use(BRUSH)
    a_room.drag(MIDDLE)
    first = drawing.chosen
    drawing.remove(first)
    assert [(each.name, each.voxels) for each in drawing.segments()] == [("Region 1", 0)]
    drawing.undo()
    second = drawing.add()
    drawing.remove(second)
    assert [each.id for each in drawing.segments()] == [first]
    assert drawing.chosen == first
    drawing.undo()
    assert len(drawing.segments()) == 2


def a_region(source: Volume, start: tuple[int, int, int], name: str) -> Roi:
    mask = np.random.default_rng(3).random((5, 6, 7)) > 0.3
    mask[0, 0, 0] = mask[-1, -1, -1] = True
    return Roi(mask, start, Grid.of(source), 1, name)


def test_regions_of_a_file_come_in_and_out_voxel_for_voxel_also_where_they_overlap(a_room):
    source = a_room.stage.case.source
    given = [a_region(source, (2, 3, 4), "a"), a_region(source, (4, 5, 6), "b")]
    a_room.drawing.add_rois(given)
    got = [a_room.drawing.roi(each) for each in a_room.drawing.ids()]
    assert [(roi.name, roi.sha256) for roi in got] == [(roi.name, roi.sha256) for roi in given]
    assert a_room.drawing.chosen == a_room.drawing.ids()[0]
    a_room.drawing.undo()
    assert [(each.name, each.voxels) for each in a_room.drawing.segments()] == [("Region 1", 0)]


def test_the_tool_stays_in_hand_when_regions_come_and_go(a_room):
    drawing, source = a_room.drawing, a_room.stage.case.source
    window = a_room.stage.window("source")
    drawing.use(BRUSH)
    for change in (
        lambda: drawing.add_rois([a_region(source, (2, 3, 4), "a")]), drawing.add, drawing.undo,
        lambda: drawing.remove(drawing.chosen), lambda: drawing.remove(drawing.chosen),
    ):  # fmt: skip
        change()
        before = drawing.roi(drawing.chosen)
        a_room.drag(MIDDLE, (220, 200))
        after = drawing.roi(drawing.chosen)
        assert after is not None
        assert before is None or after.sha256 != before.sha256
        drawing.undo()
    assert a_room.stage.window("source") == window


def test_what_was_drawn_is_there_again_after_another_case(the_room):
    source = a_lopsided_volume()
    the_room.show(source)
    given = a_region(source, (2, 3, 4), "kept")
    the_room.drawing.add_rois([given])
    the_room.drawing.rename(the_room.drawing.chosen, "kept", "#abcdef")
    kept = the_room.drawing.close()
    the_room.show(dataclasses.replace(a_lopsided_volume((12, 14, 16)), name="another"))
    assert [each.voxels for each in the_room.drawing.segments()] == [0]
    the_room.show(source)
    the_room.drawing.close()
    the_room.drawing.open(source, the_room.stage.source_node, kept)
    (again,) = the_room.drawing.segments()
    assert (again.name, again.colour) == ("kept", "#abcdef")
    assert the_room.drawing.roi(again.id).sha256 == given.sha256
    assert not the_room.drawing.can_undo


def test_every_change_is_told(a_room):
    before = a_room.changes
    a_room.drawing.use(BRUSH)
    a_room.drag(MIDDLE)
    assert a_room.changes > before
    before = a_room.changes
    a_room.drawing.undo()
    assert a_room.changes > before
