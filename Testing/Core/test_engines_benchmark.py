"""The benchmark of engines, on a network so small that it trains in a moment. How fast it is, is no test's business."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagetranslation.engines import kinds
from Testing.Benchmarks import translate2d
from Testing.Benchmarks.translate2d import Recipe

TINY = Recipe({"spatial_dims": 2, "base": 2, "levels": 4, "dropout": 0.0}, steps=3, size=16)


@pytest.fixture(autouse=True)
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(translate2d, "TRAINING_CASES", 1)
    monkeypatch.setattr(kinds, "KINDS", tuple(kind for kind in kinds.KINDS if kind.name == "torch"))


def test_the_network_is_trained_once_and_kept(tmp_path: Path) -> None:
    said: list[str] = []
    first = translate2d.trained(TINY, tmp_path / "kept", said.append)
    assert "step 3 of 3" in said[-1]
    again = translate2d.trained(TINY, tmp_path / "kept", said.append)
    assert len(said) == 2
    assert again.weights_sha256 == first.weights_sha256
    (tmp_path / "kept" / "weights.safetensors").write_bytes(b"damaged")
    assert translate2d.trained(TINY, tmp_path / "kept", said.append).weights_sha256 == first.weights_sha256
    assert len(said) == 4


def test_both_rows_say_what_was_compared(tmp_path: Path) -> None:
    package = translate2d.trained(TINY, tmp_path / "kept", lambda line: None)
    slices = translate2d.held_out_slices(5, 16)
    assert (slices.shape, slices.dtype, slices.min()) == ((5, 16, 16), np.float32, -1)
    quick, exact = translate2d.compare(package, slices, rounds=1)
    assert (quick.row, exact.row, exact.unit) == ("translate2d", "translate2d_fp32", "s")
    assert quick.ours > 0
    assert quick.theirs == exact.theirs > 0
    for part in ("5 x 16 x 16", "trained 3 steps on simulated data", "gate: ", "1 interleaved run", "bfloat16"):
        assert part in quick.note
    assert float(exact.note.split("largest difference ")[1].split(",")[0]) < 1e-5
