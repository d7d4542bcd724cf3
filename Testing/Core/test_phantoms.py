"""The simulated prostate and the sub-command that writes it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from imagetranslation.fieldofview import field_of_view
from imagetranslation.volume import read_volume
from training_tools import commands
from training_tools.phantoms import prostate
from training_tools.phantoms.prostate import SimulatedPair, simulate


@pytest.fixture(scope="module")
def a_pair() -> SimulatedPair:
    return simulate(seed=7)


def test_a_seed_gives_one_anatomy_and_another_seed_another(a_pair: SimulatedPair) -> None:
    again, other = simulate(seed=7), simulate(seed=8)
    for part in ("us", "mr", "gland"):
        np.testing.assert_array_equal(getattr(a_pair, part).array, getattr(again, part).array)
        assert (getattr(a_pair, part).array != getattr(other, part).array).any()


def test_the_fan_is_black_outside_and_recorded_inside(a_pair: SimulatedPair) -> None:
    seen = field_of_view(a_pair.us)
    assert 0.5 < seen.mean() < 0.95
    assert (a_pair.us.array[~seen] == 0).all()


def test_the_gland_is_darker_than_its_surroundings_in_ultrasound(a_pair: SimulatedPair) -> None:
    gland = a_pair.gland.array > 0
    seen = field_of_view(a_pair.us)
    rim = (np.roll(gland, 8, axis=1) | np.roll(gland, -8, axis=1)) & ~gland & seen
    assert a_pair.us.array[gland & seen].mean() < a_pair.us.array[rim].mean()
    assert 10_000 < gland.sum() * np.prod(a_pair.us.spacing) < 60_000  # mm3: 10 to 60 ml


def test_the_peripheral_zone_is_bright_in_mr_and_the_lesion_dark(a_pair: SimulatedPair) -> None:
    anatomy = prostate.invent(np.random.default_rng(7))
    tissue = prostate.tissues(anatomy, prostate.grid_points(prostate.MR_SIZE, prostate.MR_SPACING))
    mean = [a_pair.mr.array[tissue == kind].mean() for kind in (prostate.PERIPHERAL, prostate.LESION)]
    assert mean[0] > mean[1] + 50


def test_both_images_show_one_physical_frame(a_pair: SimulatedPair) -> None:
    for volume in (a_pair.us, a_pair.mr, a_pair.gland):
        matrix = np.reshape(volume.direction, (3, 3)) * np.asarray(volume.spacing)
        centre = np.asarray(volume.origin) + matrix @ ((np.asarray(volume.array.shape[::-1]) - 1) / 2)
        np.testing.assert_allclose(centre, 0, atol=1e-9)
        assert np.linalg.det(np.reshape(volume.direction, (3, 3))) == pytest.approx(1)
    assert a_pair.gland.same_grid(a_pair.us)


def test_the_phantom_command_writes_what_the_simulator_makes(tmp_path: Path, a_pair: SimulatedPair) -> None:
    app = typer.Typer()
    commands.register(app)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["phantom", "-o", str(tmp_path / "new"), "--seed", "7"])
    assert result.exit_code == 0, result.output
    files = json.loads(result.output)["files"]
    written = read_volume(files[0])
    np.testing.assert_array_equal(written.array, a_pair.us.array)
    assert written.same_grid(a_pair.us)
    assert len(files) == 3
