"""The residual U-Net: the published arrangement to the last weight, sizes, and what depends on what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from imagetranslation import networks
from imagetranslation.engines import kinds
from imagetranslation.errors import ModelRefused
from imagetranslation.predictors import TorchPredictor
from Testing.packages import make_package, metadata


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("units", "norm"), [(2, "batch"), (1, "instance"), (0, "batch")])
def test_it_computes_what_monais_unet_computes_with_the_same_weights(dims: int, units: int, norm: str) -> None:
    monai = pytest.importorskip("monai.networks.nets")
    torch.manual_seed(0)
    theirs = monai.UNet(dims, 1, 1, (4, 6, 8), (2, 2), num_res_units=units, norm=norm)
    for name, buffer in theirs.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    ours = networks.build("unet", spatial_dims=dims, channels=[4, 6, 8], units=units, norm=norm)
    weights = zip(ours.state_dict(), theirs.state_dict().values())
    ours.load_state_dict(dict(weights), strict=True)
    image = torch.randn(2, 1, *[16] * dims)
    torch.testing.assert_close(ours.eval()(image), theirs.eval()(image))


def test_the_size_of_the_benchmarks_network() -> None:
    with torch.device("meta"):
        made = networks.build("unet")
    assert sum(p.numel() for p in made.parameters()) == 4_740_364


def test_with_batch_statistics_a_voxel_depends_on_its_surroundings_only() -> None:
    torch.manual_seed(0)
    made = networks.build("unet", spatial_dims=2, channels=[4, 4, 4], units=1).eval()
    image = torch.randn(1, 1, 128, 128)
    with torch.inference_mode():
        whole, part = made(image)[..., 32:96, 32:96], made(image[..., 8:120, 8:120])[..., 24:88, 24:88]
    torch.testing.assert_close(whole, part)


def test_bounded_output_stays_within_one() -> None:
    torch.manual_seed(0)
    made = networks.build("unet", spatial_dims=2, channels=[4, 4], bounded=True, dropout=0.5)
    assert made(100 * torch.randn(1, 1, 8, 8)).abs().max() <= 1


def test_it_says_which_sizes_it_takes() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        networks.build("unet", spatial_dims=2, channels=[2, 2, 2])(torch.zeros(1, 1, 10, 8))


@pytest.mark.parametrize(
    "arguments",
    [{"spatial_dims": 4}, {"channels": [4]}, {"channels": [4] * 9}, {"channels": [4, 0]}, {"channels": [4, 2.5]},
     {"units": 9}, {"norm": "layer"}],
)  # fmt: skip
def test_what_no_network_can_be_is_refused(arguments: dict) -> None:
    with pytest.raises(ModelRefused, match="cannot be built"):
        networks.build("unet", **arguments)


def test_it_runs_in_every_engine_that_is_here(tmp_path: Path) -> None:
    made = metadata(network={"name": "unet", "arguments": {"channels": [4, 8]}}, spatial_dims=3, patch_size=[8, 16, 16])
    package = make_package(tmp_path / "m", made=made)
    windows = np.random.default_rng(0).uniform(-1, 1, (2, 1, 8, 16, 16)).astype(np.float32)
    wanted = TorchPredictor(package, "cpu").predict(windows)
    pairs = [("torch", "float32"), ("torch", "bfloat16"), ("onnx", "float32"), ("openvino", "float32")]
    for engine, precision in pairs:
        kind = kinds.kind_of(engine)
        if kinds.missing(kind, package, "cpu") is None:
            made_here = kind.make(package, "cpu", precision).predict(windows)
            np.testing.assert_allclose(made_here, wanted, atol=1e-5 if precision == "float32" else 0.1)
