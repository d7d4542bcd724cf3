"""The engines: each computes what plain torch computes, says what it lacks, and names what went wrong."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation import networks, predictors
from imagetranslation.engines import kinds, machine, make_predictor, preparing, torchengine, trial, workload
from imagetranslation.errors import Cancelled, InputError, ModelRefused, RunFailed
from imagetranslation.models import ModelPackage, load_package
from imagetranslation.predictors import OutOfMemory, TorchPredictor
from Testing.packages import make_package, metadata

# Rounding in another order, on outputs in [-1, 1]; instance norms of small windows amplify it most.
ROUNDING = 1e-5
PACKAGES: dict[str, dict[str, Any]] = {
    "2D": {},
    "2D of odd size": {"patch_size": [19, 23]},
    "2D, instance norm": {"network": {"arguments": {"base": 4, "levels": 3, "norm": "instance"}}},
    "2D with channels": {"network": {"arguments": {"base": 4, "levels": 3, "in_channels": 3}}, "num_channels": 3},
    "2D, transposed convolutions": {"network": {"name": "pix2pix", "arguments": {"base": 4, "levels": 4}}},
    "3D, residual units": {
        "network": {"name": "unet", "arguments": {"channels": [4, 8], "units": 1, "norm": "instance", "bounded": True}},
        "spatial_dims": 3,
        "patch_size": [6, 8, 10],
    },
    "3D, transposed convolutions": {
        "network": {"name": "pix2pix", "arguments": {"spatial_dims": 3, "base": 4, "levels": 3}},
        "spatial_dims": 3,
        "patch_size": [8, 16, 24],
    },
    "2D, residual generator": {"network": {"name": "resnet", "arguments": {"base": 4, "blocks": 2}}},
    "3D, residual generator": {
        "network": {"name": "resnet", "arguments": {"spatial_dims": 3, "base": 4, "blocks": 1}},
        "spatial_dims": 3,
        "patch_size": [8, 8, 12],
    },
    "2D, no skips": {"network": {"name": "conv-deconv", "arguments": {"base": 4, "levels": 3}}},
    "3D, autoencoder": {
        "network": {"name": "autoencoder", "arguments": {"channels": [4, 8]}},
        "spatial_dims": 3,
        "patch_size": [4, 8, 12],
    },
    "3D, organ found first": {
        "network": {"name": "located", "arguments": {"base": 4, "levels": 3, "locator_base": 2, "mirrored": True}},
        "spatial_dims": 3,
        "patch_size": [17, 16, 18],
    },
    "2D, each voxel by itself": {"network": {"name": "pixelwise", "arguments": {"width": 4}}},
    "3D, residual encoder": {
        "network": {"name": "residual-encoder-unet", "arguments": {"channels": [4, 8, 8], "blocks": [1, 2, 1]}},
        "spatial_dims": 3,
        "patch_size": [8, 8, 12],
    },
    "2D, transformer": {
        "network": {
            "name": "resvit",
            "arguments": {
                "size": [16, 16],
                "base": 4,
                "blocks": 5,
                "reduction": 2,
                "inner": 8,
                "layers": 2,
                "heads": 2,
            },
        },
    },
    "2D, diffusion bridge": {"network": {"name": "bridge", "arguments": {"channels": [8, 16], "steps": 3}}},
    "3D, slices that know their place": {
        "network": {"arguments": {"spatial_dims": 3, "base": 4, "levels": 3, "members": 2}},
        "spatial_dims": 3,
        "patch_size": [5, 13, 18],
    },
}
QUICK = [kind.name for kind in kinds.KINDS if kind.quick]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelPackage]:
    """The packages by name; what is exported from them stays in their folders while this file runs."""
    folder = tmp_path_factory.mktemp("shelf")
    return {name: make_package(folder / str(n), made=metadata(**p)) for n, (name, p) in enumerate(PACKAGES.items())}


@pytest.fixture(scope="module", autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home") / "new"
        patch.setenv("IMAGETRANSLATION_HOME", str(home))
        yield home


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest, shelf: dict[str, ModelPackage]) -> ModelPackage:
    return shelf[request.param]


@pytest.fixture
def plain_package(shelf: dict[str, ModelPackage]) -> ModelPackage:
    return shelf["2D"]


@pytest.fixture
def pix2pix_package(shelf: dict[str, ModelPackage]) -> ModelPackage:
    return shelf["2D, transposed convolutions"]


def windows_for(package: ModelPackage, count: int = 5) -> np.ndarray:
    shape = (count, package.inputs["num_channels"], *package.inputs["patch_size"])
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


def an_engine(name: str, package: ModelPackage, precision: str = "float32") -> Any:
    kind = kinds.kind_of(name)
    if lacking := kinds.missing(kind, package, "cpu"):
        pytest.skip(lacking)
    return kind.make(package, "cpu", precision)


@pytest.mark.parametrize("name", QUICK)
def test_an_engine_computes_what_plain_torch_computes(name: str, package: ModelPackage) -> None:
    windows = windows_for(package)
    engine = an_engine(name, package)
    made = engine.predict(windows)
    np.testing.assert_allclose(made, TorchPredictor(package, "cpu").predict(windows), atol=ROUNDING)
    assert (made.dtype, engine.engine, engine.precision, engine.device) == (np.float32, name, "float32", "cpu")
    assert made.flags.c_contiguous


@pytest.mark.parametrize("name", QUICK)
def test_a_window_is_the_same_whatever_its_batch_and_place(name: str, package: ModelPackage) -> None:
    windows = windows_for(package)
    engine = an_engine(name, package)
    together = engine.predict(windows)
    order = np.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(engine.predict(windows[order]), together[order], atol=ROUNDING)
    one_by_one = np.concatenate([engine.predict(windows[n : n + 1]) for n in range(len(windows))])
    np.testing.assert_allclose(one_by_one, together, atol=ROUNDING)


@pytest.mark.parametrize("name", QUICK)
def test_an_engine_repeats_itself_to_the_last_bit(name: str, package: ModelPackage) -> None:
    windows = windows_for(package)
    engine = an_engine(name, package)
    first = engine.predict(windows)
    kept = first.copy()
    np.testing.assert_array_equal(engine.predict(windows), first)
    engine.predict(-windows)
    np.testing.assert_array_equal(first, kept, err_msg="a later batch was written over an earlier result")
    np.testing.assert_array_equal(an_engine(name, package).predict(windows), first)


@pytest.mark.parametrize("name", QUICK)
def test_the_shipped_model_runs_on_every_engine(name: str) -> None:
    package = load_package("us2mri-pix2pix-small")
    windows = windows_for(package, 1)
    made = an_engine(name, package).predict(windows)
    np.testing.assert_allclose(made, TorchPredictor(package, "cpu").predict(windows), atol=ROUNDING)


def test_compiled_torch_computes_what_plain_torch_computes(pix2pix_package: ModelPackage) -> None:
    package = pix2pix_package
    engine = an_engine("torch-compile", package)
    size = workload.usual_batch(package, "cpu")
    for count in (size, size + 3, 1):  # one batch, one and a part of another, a part
        windows = windows_for(package, count)
        expected = TorchPredictor(package, "cpu").predict(windows)
        np.testing.assert_allclose(engine.predict(windows), expected, atol=ROUNDING)


def test_compiled_code_is_kept_in_the_persons_folder(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for choice_of_torch in (None, str(Path(tempfile.gettempdir()) / "torchinductor_somebody")):
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
        if choice_of_torch:
            monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", choice_of_torch)
        machine.keep_compiled_code_private()
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(own_folder / "engines" / "inductor")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/scratch/mine")
    machine.keep_compiled_code_private()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/scratch/mine"


@pytest.mark.soak
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_compiled_torch_runs_every_network(package: ModelPackage, precision: str) -> None:
    windows = windows_for(package)
    made = an_engine("torch-compile", package, precision).predict(windows)
    expected = TorchPredictor(package, "cpu").predict(windows)
    np.testing.assert_allclose(made, expected, atol=ROUNDING if precision == "float32" else 0.2)


def test_every_network_that_makes_images_is_exported_and_compared_above() -> None:
    compared = {made.get("network", {}).get("name", "pix2pix-small") for made in PACKAGES.values()}
    assert set(networks.names()) - {"patch-discriminator"} == compared, "add the new network to PACKAGES"


def test_batch_norms_are_folded_into_the_convolutions_before_them(pix2pix_package: ModelPackage) -> None:
    assert preparing.fold_batch_norms(pix2pix_package.network()) == 5  # two on the way down, three on the way up


def test_results_are_streamed_in_order(plain_package: ModelPackage) -> None:
    engine = an_engine("torch", plain_package)
    batches = [windows_for(plain_package, count) for count in (3, 1, 2)]
    streamed = list(predictors.stream(engine, iter(batches)))
    for batch, made in zip(batches, streamed):
        np.testing.assert_array_equal(made, engine.predict(batch))
    assert len(streamed) == 3


def test_a_small_model_runs_on_plain_torch_without_a_trial(
    plain_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial.Trial, "row", lambda *_: pytest.fail("an engine was tried"))
    predictor = make_predictor(plain_package, device="cpu")
    assert (predictor.engine, predictor.precision, predictor.notes) == ("torch", "float32", ())


def test_a_named_engine_is_taken(plain_package: ModelPackage) -> None:
    if lacking := kinds.missing(kinds.kind_of("openvino"), plain_package, "cpu"):
        pytest.skip(lacking)
    predictor = make_predictor(plain_package, device="cpu", engine="openvino", precision="float32")
    assert (predictor.engine, predictor.precision) == ("openvino", "float32")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"engine": "tensorrt"}, "There is no engine called tensorrt; use auto, torch, onnx"),
        ({"precision": "int8"}, "There is no precision called int8; use auto, float32"),
        ({"engine": "onnx", "precision": "bfloat16"}, "onnx has no bfloat16 on cpu; it has float32"),
    ],
)
def test_what_does_not_exist_is_refused(wanted: dict[str, str], said: str, plain_package: ModelPackage) -> None:
    with pytest.raises(InputError, match=said):
        make_predictor(plain_package, device="cpu", **wanted)


@pytest.mark.parametrize("name", ["onnx", "openvino", "torch-compile"])
def test_an_engine_with_one_precision_is_started_without_a_trial(
    name: str, plain_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kinds.missing(kinds.kind_of(name), plain_package, "cpu"):
        pytest.skip(f"{name} is not here")
    monkeypatch.setattr(machine, "has_bfloat16", lambda device: False)
    monkeypatch.setattr(trial.Trial, "row", lambda *_: pytest.fail("an engine was tried"))
    predictor = make_predictor(plain_package, device="cpu", engine=name)
    assert (predictor.engine, predictor.precision) == (name, "float32")


def test_a_precision_that_was_asked_for_is_tried_also_where_the_hardware_is_slow_at_it(
    plain_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "has_bfloat16", lambda device: False)
    assert make_predictor(plain_package, device="cpu", engine="torch", precision="bfloat16").precision == "bfloat16"


@pytest.mark.parametrize(("name", "distribution"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_an_engine_that_is_not_installed_is_named_with_what_installs_it(
    name: str, distribution: str, plain_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = {k: v for k, v in machine.versions().items() if k != distribution}
    monkeypatch.setattr(machine, "versions", lambda: present)
    with pytest.raises(RunFailed, match=r"not installed: run pip install 'imagetranslation\[engines\]'"):
        make_predictor(plain_package, device="cpu", engine=name)


def test_compiling_without_a_compiler_is_refused_in_one_sentence(
    plain_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "compiler", lambda: None)
    with pytest.raises(RunFailed, match=r"needs a C\+\+ compiler on the CPU, and none was found; install g\+\+"):
        make_predictor(plain_package, device="cpu", engine="torch-compile")


@pytest.mark.parametrize("name", ["onnx", "openvino", "torch-compile"])
def test_a_model_whose_windows_vary_is_left_to_torch(name: str, tmp_path: Path) -> None:
    package = make_package(tmp_path / "tiny", made=metadata(inference={"size_multiple": 4}))
    if kinds.kind_of(name).lacks("cpu"):
        pytest.skip(f"{name} is not here")
    with pytest.raises(RunFailed, match="takes windows of any size"):
        make_predictor(package, device="cpu", engine=name)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("Failed to allocate memory for requested buffer of size 68719476736"),
        RuntimeError("Exception from src/inference: std::bad_alloc"),
    ],
)
@pytest.mark.parametrize("name", QUICK)
def test_running_out_of_memory_has_an_error_of_its_own(
    name: str, error: Exception, plain_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = an_engine(name, plain_package)

    class Full:
        def fail(self, *_: Any, **__: Any) -> None:
            raise error

        __call__ = run = infer = fail

    for attribute in {"_network", "_session", "_request"} & set(vars(engine)):
        monkeypatch.setattr(engine, attribute, Full())
    with pytest.raises(OutOfMemory, match="The memory of cpu is too small for tiny with 5 windows of 16 x 16 at once"):
        engine.predict(windows_for(plain_package))


def test_a_cancelled_network_stays_cancelled(plain_package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = torchengine.TorchEngine(plain_package, "cpu")

    def stop(*_: Any) -> None:
        raise Cancelled("stop")

    monkeypatch.setattr(engine, "_network", stop)
    with pytest.raises(Cancelled):
        engine.predict(windows_for(engine.package))


@pytest.mark.parametrize("name", QUICK)
def test_windows_of_another_size_are_refused_in_a_sentence(name: str, pix2pix_package: ModelPackage) -> None:
    with pytest.raises(ModelRefused, match=r"(cannot run on|turns) windows of"):
        an_engine(name, pix2pix_package).predict(np.zeros((1, 1, 17, 16), np.float32))


def test_cuda_computes_what_the_cpu_computes(package: ModelPackage) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    windows = windows_for(package)
    expected = TorchPredictor(package, "cpu").predict(windows)
    engine = torchengine.TorchEngine(package, "cuda:0")
    np.testing.assert_allclose(engine.predict(windows), expected, atol=1e-4)
    streamed = np.concatenate(list(engine.stream([windows[:2], windows[2:4], windows[4:]])))
    np.testing.assert_allclose(streamed, expected, atol=1e-4)
