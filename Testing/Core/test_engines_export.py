"""The kept ONNX export: made once, found again, and never believed when it is not what was made."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.engines import exporting, machine, onnxengine
from imagetranslation.errors import ModelRefused, RunFailed
from imagetranslation.models import ModelPackage, load_package
from imagetranslation.predictors import TorchPredictor
from Testing.packages import make_package, metadata

pytestmark = pytest.mark.skipif(
    bool({"onnx", "onnxscript", "onnxruntime"} - set(machine.versions())), reason="ONNX Runtime is not installed"
)
EXPORT = exporting.export


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def real_export(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return EXPORT(make_package(tmp_path_factory.mktemp("once") / "tiny"))


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch, real_export: bytes) -> list[str]:
    """Each export that is made is counted here, and costs nothing."""
    made: list[str] = []

    def export(package: ModelPackage) -> bytes:
        made.append(package.id)
        return real_export

    monkeypatch.setattr(exporting, "export", export)
    return made


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "models" / "tiny")


def kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.onnx"))


def test_an_export_is_made_once_and_kept_beside_the_model(package: ModelPackage, home: Path, exports: list) -> None:
    first = exporting.onnx_bytes(package)
    assert exporting.onnx_bytes(load_package(package.path)) == first
    assert exports == ["tiny"]
    assert [path.parent for path in kept(package.path)] == [package.path / "engines"]
    assert kept(home) == []


@pytest.mark.parametrize("harm", ["cut short", "one bit", "empty", "a link", "a pipe"])
def test_a_damaged_export_is_made_anew(harm: str, package: ModelPackage, exports: list, tmp_path: Path) -> None:
    good = exporting.onnx_bytes(package)
    (path,) = kept(package.path)
    if harm == "cut short":
        path.write_bytes(good[: len(good) // 2])
    elif harm == "one bit":
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "a pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        (tmp_path / "elsewhere").write_bytes(good)
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere")
    assert exporting.onnx_bytes(package) == good
    assert exports == ["tiny", "tiny"]
    assert path.read_bytes() == good
    assert not path.is_symlink()


def test_an_export_that_somebody_put_there_is_not_run(package: ModelPackage, home: Path, tmp_path: Path) -> None:
    """A sound ONNX file of another network, with the right name: nothing noted it, so that it counts for nothing."""
    windows = np.random.default_rng(0).uniform(-1, 1, (2, 1, 16, 16)).astype(np.float32)
    other = EXPORT(make_package(tmp_path / "other", seed=7))
    target = exporting.places(package)[0]
    target.parent.mkdir()
    target.write_bytes(other)
    made = onnxengine.OnnxEngine(package, "cpu").predict(windows)
    np.testing.assert_allclose(made, TorchPredictor(package, "cpu").predict(windows), atol=1e-5)
    assert target.read_bytes() != other


def test_the_checksum_is_the_one_in_the_persons_folder(package: ModelPackage, home: Path, exports: list) -> None:
    exporting.onnx_bytes(package)
    (note,) = (home / "engines").glob("export-*.json")
    (path,) = kept(package.path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in note.read_text()
    note.write_text("[]")
    exporting.onnx_bytes(package)
    assert exports == ["tiny", "tiny"]


def test_an_export_holds_its_weights_itself(real_export: bytes) -> None:
    import onnx

    model = onnx.load_model_from_string(real_export)
    assert not [t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]


def test_where_the_models_folder_cannot_be_written_the_persons_is_used(
    package: ModelPackage, home: Path, exports: list
) -> None:
    (package.path / "engines").write_text("a file where a folder is wanted")
    exporting.onnx_bytes(package)
    exporting.onnx_bytes(package)
    assert len(exports) == 1
    assert [path.parent for path in kept(home)] == [home / "engines" / "exports"]


def test_a_read_only_package_is_left_as_it_is(
    package: ModelPackage, home: Path, exports: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting.os, "access", lambda *_: False)
    exporting.onnx_bytes(package)
    assert kept(package.path) == []
    assert len(kept(home)) == 1


def test_a_shipped_model_and_a_zip_are_exported_into_the_persons_folder(
    package: ModelPackage, home: Path, exports: list, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        for file in package.path.iterdir():
            archive.write(file, file.name)
    for model in (tmp_path / "tiny.zip", "us2mri-pix2pix-small"):
        exporting.onnx_bytes(load_package(model))
    assert len(kept(home)) == 2
    assert exports == ["tiny", "us2mri-pix2pix-small"]


def test_with_nowhere_to_keep_it_the_export_is_still_used(package: ModelPackage, home: Path, exports: list) -> None:
    (package.path / "engines").write_text("")
    home.write_text("a file where the person's folder should be")
    assert exporting.onnx_bytes(package) == exporting.onnx_bytes(package)
    assert len(exports) == 2


def test_other_weights_another_network_and_another_exporter_have_exports_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_package(tmp_path / "one", seed=1)
    two = make_package(tmp_path / "two", seed=2)
    three = ModelPackage(
        one.path, metadata(network={"arguments": {"bounded": False}}) | {"weights": one.metadata["weights"]}
    )
    names = {exporting.places(package)[0].name for package in (one, two, three)}
    monkeypatch.setattr(exporting, "EXPORTER", exporting.EXPORTER + 1)
    assert len({*names, exporting.places(one)[0].name}) == 4


def test_damaged_weights_are_refused_although_an_export_is_kept(package: ModelPackage, exports: list) -> None:
    exporting.onnx_bytes(package)
    weights = package.path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ModelRefused, match="damaged or was changed"):
        exporting.onnx_bytes(package)


def test_two_threads_export_once_and_agree(package: ModelPackage, exports: list) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(exporting.onnx_bytes, [package] * 4))
    assert len(made) == 1
    assert exports == ["tiny"]


@pytest.mark.soak
def test_two_processes_that_export_at_once_agree(package: ModelPackage, home: Path) -> None:
    code = (
        "import hashlib, sys; from imagetranslation.engines.exporting import onnx_bytes;"
        "from imagetranslation.models import load_package;"
        "print(hashlib.sha256(onnx_bytes(load_package(sys.argv[1]))).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(package.path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate()[0] for process in running}
    assert len(said) == 1
    (path,) = kept(package.path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == said.pop().strip()


def test_exporting_prints_nothing(
    package: ModelPackage, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output belongs to a worker's own lines, whatever a version of the exporter has to say."""
    real = ModelPackage.network
    monkeypatch.setattr(ModelPackage, "network", lambda self: print("[exporter] hello") or real(self))
    EXPORT(package)
    assert capfd.readouterr().out == ""


def test_without_the_exporter_it_says_what_to_install(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "versions", lambda: {"torch": "2.9", "onnxruntime": "1"})
    with pytest.raises(RunFailed, match=r"needs onnx and onnxscript: run pip install 'imagetranslation\[engines\]'"):
        exporting.onnx_bytes(package)
