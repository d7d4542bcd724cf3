"""The static sheet: every panel that shows any of the synthetic image says so, and shapes are physical."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from imagetranslation import sheet
from imagetranslation.errors import InputError, RunFailed
from imagetranslation.provenance import Provenance
from imagetranslation.volume import Volume, read_volume

RECORD = Provenance(
    model="us2mri-pix2pix-small", version="1.0.0", weights_sha256="ab" * 32, task="us2mri", modality="MR",
    source="case17", source_sha256="cd" * 32, created="2026-01-01T00:00:00Z", software="imagetranslation 0.1.0",
    notes=("Spacing lies outside the model's training range.",),
)  # fmt: skip


def a_source(shape=(12, 20, 30), **changes) -> Volume:
    array = np.random.default_rng(0).integers(1, 255, shape).astype(np.uint8)
    return Volume(array, **{"spacing": (1.0, 2.0, 3.0), "name": "case17", "modality": "US", **changes})


def a_synthetic(source: Volume, array=None, record=RECORD) -> Volume:
    voxels = 255 - source.array if array is None else array
    return source.with_array(voxels, modality="MR", provenance=record, name="SYNTHETIC MR of case17")


def a_reference(source: Volume) -> Volume:
    return source.with_array(np.roll(source.array, 3, axis=2), modality="MR", name="reference")


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def has_mark(picture: Image.Image, column: int, row_top: int = 128) -> bool:
    """Whether the amber of the mark's text is in the top-left corner of that column's first panel."""
    x = sheet.MARGIN + sheet.ROW_LABEL + column * (sheet.PANEL + sheet.GAP)
    corner = pixels(picture)[row_top : row_top + 28, x : x + sheet.PANEL]
    return int((np.abs(corner - sheet.MARK_COLOUR).sum(axis=2) < 60).sum()) > 100


def test_source_and_synthetic_stand_side_by_side_and_only_the_synthetic_is_marked():
    source = a_source()
    drawn = sheet.draw_sheet(source, a_synthetic(source))
    assert [has_mark(drawn, n) for n in range(2)] == [False, True]


def test_with_a_reference_the_difference_is_marked_too_and_the_reference_is_not():
    source = a_source()
    drawn = sheet.draw_sheet(source, a_synthetic(source), a_reference(source))
    assert [has_mark(drawn, n) for n in range(4)] == [False, True, False, True]


def test_an_uncertainty_map_is_a_marked_column_of_its_own_in_its_legends_colours():
    source = a_source()
    synthetic = a_synthetic(source)
    quantity = {"name": "standard deviation", "unit": "grey values", "calibrated": False, "patients": 0}
    ramp = np.broadcast_to(np.linspace(0, 18, 30, dtype=np.float32), source.array.shape).copy()
    deviation = synthetic.with_array(ramp, provenance=replace(RECORD, quantity=quantity))
    drawn = sheet.draw_sheet(source, synthetic, None, deviation)
    assert [has_mark(drawn, n) for n in range(3)] == [False, True, True]
    x = sheet.MARGIN + sheet.ROW_LABEL + 2 * (sheet.PANEL + sheet.GAP)
    colour = pixels(drawn)[128:300, x : x + sheet.PANEL]
    assert np.ptp(colour[40:100, 270:290], axis=2).mean() > 40 > np.ptp(colour[40:100, 46:50], axis=2).mean()
    with pytest.raises(InputError, match="not say that it is an uncertainty map"):
        sheet.draw_sheet(source, synthetic, None, synthetic)


@pytest.mark.parametrize("brightness", [0, 255])
def test_the_mark_is_readable_on_a_black_and_on_a_white_image(brightness):
    source = a_source()
    image = np.full(source.array.shape, brightness, np.uint8)
    image[0, 0, 0] = 255 - brightness
    assert has_mark(sheet.draw_sheet(source, a_synthetic(source, image)), 1)


def test_a_panel_has_the_images_physical_shape():
    source = a_source()
    column = sheet._columns(source, a_synthetic(source), None, with_difference=False)[0]
    panel = sheet._panel("axial", column, {"source": source})
    assert panel.height == pytest.approx(sheet.PANEL, abs=1)
    columns_used = pixels(panel).sum(axis=(0, 2)) > 0
    assert columns_used.sum() == pytest.approx(sheet.PANEL * 30 / 40, abs=2)


def test_a_single_slice_volume_makes_one_row():
    source = a_source((1, 20, 30))
    one = sheet.draw_sheet(source, a_synthetic(source))
    many = sheet.draw_sheet(a_source(), a_synthetic(a_source()))
    assert one.height < many.height - 2 * 100


def test_a_reference_on_another_grid_is_shown_without_a_difference():
    source = a_source()
    elsewhere = Volume(np.full((6, 10, 15), 200, np.uint8), (2.0, 4.0, 6.0), name="reference", modality="MR")
    drawn = sheet.draw_sheet(source, a_synthetic(source), elsewhere)
    three_columns = sheet.draw_sheet(source, a_synthetic(source)).width + sheet.PANEL + sheet.GAP
    assert drawn.width == three_columns


def test_an_image_without_a_record_or_off_the_grid_is_refused():
    source = a_source()
    with pytest.raises(InputError, match="no record"):
        sheet.draw_sheet(source, a_reference(source))
    with pytest.raises(InputError, match="not on the grid"):
        sheet.draw_sheet(source, a_synthetic(a_source((12, 20, 31))))


def test_the_sheet_is_written_whole_or_not_at_all(tmp_path):
    source = a_source()
    path = sheet.write_sheet(tmp_path / "sheet.png", source, a_synthetic(source))
    with Image.open(path) as read:
        assert read.format == "PNG"
    with pytest.raises(RunFailed):
        sheet.write_sheet(tmp_path / "absent" / "sheet.png", source, a_synthetic(source))
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


def test_a_real_ultrasound_makes_a_sheet(prostate_pairs, tmp_path):
    source = read_volume(prostate_pairs / "us" / "case17.nii.gz")
    path = sheet.write_sheet(tmp_path / "case17.png", source, a_synthetic(source))
    with Image.open(path) as read:
        assert pixels(read).max() > 200


def test_drawing_a_sheet_needs_no_opengl_and_no_browser():
    code = (
        "import sys, numpy as np; from imagetranslation import sheet; from imagetranslation.volume import Volume;"
        "from imagetranslation.provenance import Provenance as P; s = Volume(np.zeros((2, 3, 4)));"
        "sheet.draw_sheet(s, s.with_array(s.array, provenance=P.from_dict({'model': 'm'})));"
        "print([m for m in ('vtk', 'slicer', 'trame', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
