"""What an uncertainty map says about itself survives files, and where it lies is found by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagetranslation import appearance, deviationmaps
from imagetranslation.provenance import Provenance, display_name
from imagetranslation.volume import Volume, read_volume, write_volume

QUANTITY = {"name": "standard deviation", "unit": "grey values", "calibrated": True, "patients": 18, "method": "tta"}
RECORD = Provenance(
    model="m", version="1.0.0", weights_sha256="ab" * 32, task="us2mri", modality="MR", source="case17",
    source_sha256="cd" * 32, created="2026-01-01T00:00:00Z", software="imagetranslation", quantity=QUANTITY,
)  # fmt: skip


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha", ".nii"])
def test_what_a_map_means_survives_every_format(tmp_path, suffix):
    written = write_volume(Volume(np.ones((3, 4, 5), np.float32), provenance=RECORD), tmp_path / f"a{suffix}")
    back = read_volume(written)
    assert back.provenance.quantity == QUANTITY
    assert deviationmaps.map_of(back, Volume(np.zeros((3, 4, 5)))) is back


def test_a_map_is_named_as_one_and_an_image_as_before():
    assert display_name(RECORD) == "SYNTHETIC standard deviation of MR of case17"
    assert "quantity" not in Provenance.from_dict({"model": "m"}).to_dict()
    assert Provenance.from_dict({"model": "m", "quantity": "nonsense"}).quantity is None


@pytest.mark.parametrize(
    ("image", "beside"),
    [("a/b.nii.gz", "a/b_uncertainty.nii.gz"), ("mr.nrrd", "mr_uncertainty.nrrd"), ("x.y.mha", "x.y_uncertainty.mha")],
)
def test_the_map_lies_beside_its_image(image, beside):
    assert deviationmaps.map_path(image) == Path(beside)


@pytest.mark.parametrize(("top", "limit"), [(1.0, 1.0), (1.01, 1.5), (2.5, 3.0), (7.0, 8.0), (0.034, 0.04), (9, 10)])
def test_the_legend_ends_at_a_round_number(top, limit):
    assert appearance.uncertainty_limit(np.full((2, 2), top)) == pytest.approx(limit)


def test_a_map_of_nothing_has_a_legend_too():
    assert appearance.uncertainty_limit(np.zeros((2, 2))) == 1.0


def test_the_limit_of_a_large_map_is_taken_from_columns_of_all_kinds():
    across = np.linspace(0, 50, 256, dtype=np.float32)
    assert appearance.uncertainty_limit(np.broadcast_to(across, (40, 256, 256)).copy()) == 50


def test_the_maps_colours_grow_lighter_and_the_lowest_are_left_out():
    colours = appearance.uncertainty_colours(np.linspace(0, 1, 50)).astype(int)
    assert (np.diff(colours[:, :3].sum(axis=1)) > 0).all()
    assert colours[0, 3] == 0
    assert colours[3, 3] == 255
