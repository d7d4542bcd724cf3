"""Model packages: what is sound loads, whatever is damaged, hostile or too new is refused with one sentence."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.engines import workload
from imagetranslation.errors import ModelRefused
from imagetranslation.models import ModelPackage, check_metadata, list_packages, load_package, verify
from imagetranslation.predictors import TorchPredictor
from Testing.packages import make_package, metadata


@pytest.fixture
def a_package(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "tiny")


def zipped(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, prefix + path.name)
    return target


def edit(package: ModelPackage, change) -> None:
    path = package.path / "model.json"
    made = json.loads(path.read_text())
    change(made)
    path.write_text(json.dumps(made))


def test_a_package_loads_and_verifies_from_a_folder_and_from_a_zip(a_package: ModelPackage, tmp_path: Path) -> None:
    for where in (
        a_package.path,
        zipped(a_package.path, tmp_path / "a.zip"),
        zipped(a_package.path, tmp_path / "b.zip", "tiny/"),
    ):
        package = load_package(where)
        checked = verify(package)
        assert (package.id, package.version) == ("tiny", "1.2.3")
        assert checked["parameters"] == package.metadata["weights"]["parameters"] > 1000
        assert package.card() == "# tiny"


def test_weights_are_stored_in_half_precision_and_run_in_single(a_package: ModelPackage) -> None:
    import torch

    assert a_package.metadata["weights"]["dtype"] == "float16"
    network = a_package.network()
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not network.training


def test_every_changed_byte_of_the_weights_is_noticed(a_package: ModelPackage) -> None:
    path = a_package.path / "weights.safetensors"
    good = path.read_bytes()
    for position in range(0, len(good), max(1, len(good) // 20)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(ModelRefused, match="SHA-256"):
            load_package(a_package.path).weights()


def test_weights_that_change_after_loading_are_noticed_at_the_next_load(a_package: ModelPackage) -> None:
    a_package.network()
    (a_package.path / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(ModelRefused, match="SHA-256"):
        a_package.network()


def test_a_too_new_package_says_update(a_package: ModelPackage) -> None:
    edit(a_package, lambda m: m.update(format_version=2))
    with pytest.raises(ModelRefused, match="Update imagetranslation"):
        load_package(a_package.path)


def test_an_unknown_network_is_refused_and_nothing_is_imported_by_its_name(a_package: ModelPackage) -> None:
    edit(a_package, lambda m: m["network"].update(name="os.system"))
    with pytest.raises(ModelRefused, match=r"Unknown network 'os\.system'"):
        verify(load_package(a_package.path))


def test_a_network_that_the_weights_do_not_fit_is_refused(a_package: ModelPackage) -> None:
    edit(a_package, lambda m: m["network"]["arguments"].update(base=8))
    with pytest.raises(ModelRefused, match="do not fit"):
        verify(load_package(a_package.path))


def test_a_giant_network_is_refused_without_taking_its_memory(a_package: ModelPackage) -> None:
    """Base 4096 would need several hundred GB; laid out without memory it is refused in seconds."""
    edit(a_package, lambda m: m["network"]["arguments"].update(base=4096))
    with pytest.raises(ModelRefused, match="do not fit"):
        verify(load_package(a_package.path))


def output(made: dict) -> dict:
    return made["network_data_format"]["outputs"]["image"]


FAULTS = {
    "no id": lambda m: m.pop("id"),
    "an id that is a path": lambda m: m.update(id="../evil"),
    "a version that is no version": lambda m: m.update(version="new"),
    "weights elsewhere": lambda m: m["weights"].update(file="../weights.safetensors"),
    "a pickle": lambda m: m["weights"].update(file="weights.pt"),
    "an unknown key": lambda m: m.update(run="rm -rf /"),
    "a text for a number": lambda m: m["network_data_format"]["inputs"]["image"].update(spatial_dims="2"),
    "patch of another dimension": lambda m: m["network_data_format"]["inputs"]["image"].update(patch_size=[1, 2, 3]),
    "an orientation that repeats": lambda m: m["network_data_format"]["inputs"]["image"].update(orientation="LRS"),
    "spacing missing": lambda m: m["network_data_format"]["inputs"]["image"].update(resampling={"mode": "spacing"}),
    "a nested argument": lambda m: m["network"]["arguments"].update(hook={"__class__": "x"}),
    "a huge patch": lambda m: m["network_data_format"]["inputs"]["image"].update(patch_size=[10**6, 10**6]),
    "an id of two lines": lambda m: m.update(id="tiny\n"),
    "a title that talks to the terminal": lambda m: m.update(title="\x1b[2Jsafe"),
    "a background that is no number": lambda m: output(m).update(background=float("nan")),
    "an endless output range": lambda m: output(m).update(value_range=[float("-inf"), float("inf")]),
    "an output range that falls": lambda m: output(m).update(value_range=[255, 0]),
    "an overlap that is no number": lambda m: m["inference"].update(overlap=float("nan")),
    "a spacing that takes all memory": lambda m: m["network_data_format"]["inputs"]["image"].update(
        resampling={"mode": "spacing", "spacing": [1e-9, 1e-9, 1e-9]}
    ),
    "a normalisation without a name": lambda m: m["network_data_format"]["inputs"]["image"].update(
        normalisation={"name": ["percentile"]}
    ),
    "ranges that are words": lambda m: m["training"].update(ranges={"spacing_mm": "abc"}),
    "axis codes that are a number": lambda m: m["training"].update(ranges={"axis_codes": 5}),
    "quantiles without their spread": lambda m: m["training"].update(ranges={"quantiles_mean": [0.0] * 21}),
    "more parameters than any file holds": lambda m: m["weights"].update(parameters=10**300),
    "a format that is true": lambda m: m.update(format_version=True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_schema_fault_is_one_sentence(a_package: ModelPackage, fault: str) -> None:
    edit(a_package, FAULTS[fault])
    with pytest.raises(ModelRefused) as refusal:
        load_package(a_package.path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', "\x00\x01", "[" * 100_000, "1" * 5000, '{"format_version": 1}']
)
def test_a_model_json_that_is_none_is_refused(a_package: ModelPackage, text: str) -> None:
    (a_package.path / "model.json").write_text(text)
    with pytest.raises(ModelRefused):
        load_package(a_package.path)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "..\\x", "C:\\x"])
def test_a_zip_that_points_outside_itself_is_refused(a_package: ModelPackage, tmp_path: Path, name: str) -> None:
    path = zipped(a_package.path, tmp_path / "evil.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    with pytest.raises(ModelRefused, match="points outside"):
        load_package(path)
    assert not (tmp_path.parent / "x").exists()


def test_a_zip_with_two_weights_is_refused(a_package: ModelPackage, tmp_path: Path) -> None:
    path = zipped(a_package.path, tmp_path / "two.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/weights.safetensors", b"x")
    with pytest.raises(ModelRefused, match="more than once"):
        load_package(path).weights()


def test_a_link_out_of_the_package_is_refused(a_package: ModelPackage, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("private")
    card = a_package.path / "MODEL_CARD.md"
    card.unlink()
    card.symlink_to(secret)
    with pytest.raises(ModelRefused, match="link out of its package"):
        a_package.card()


def test_a_zip_damaged_anywhere_is_refused(a_package: ModelPackage, tmp_path: Path) -> None:
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(a_package.path.iterdir()):
            archive.write(file, file.name)
    whole = path.read_bytes()
    for place in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:place] + bytes(255 - b for b in whole[place : place + 8]) + whole[place + 8 :])
        with contextlib.suppress(ModelRefused):  # a changed date in the zip changes nothing
            verify(load_package(path))


def test_a_zip_that_swells_beyond_its_declared_parameters_is_refused_unread(
    a_package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (a_package.path / "weights.safetensors").write_bytes(bytes(64 << 20))
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(a_package.path.iterdir()):
            archive.write(file, file.name)
    assert path.stat().st_size < 1 << 20
    package = load_package(path)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("the weights were inflated"))
    with pytest.raises(ModelRefused, match=r"its weights\.safetensors is 64\.0 MiB"):
        package.network()


def test_more_parameters_than_the_memory_holds_are_refused(
    a_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(a_package, lambda m: m["weights"].update(parameters=2_000_000_000))
    package = load_package(a_package.path)
    monkeypatch.setattr("imagetranslation.models.free_memory", lambda: 8 << 30)
    with pytest.raises(ModelRefused, match=r"2,000,000,000 parameters.*14\.9 GiB of memory, and 8\.0 GiB is free"):
        package.network()


def test_a_pipe_in_a_package_is_not_waited_for(a_package: ModelPackage) -> None:
    (a_package.path / "weights.safetensors").unlink()
    os.mkfifo(a_package.path / "weights.safetensors")
    with pytest.raises(ModelRefused, match="plain files"):
        a_package.weights()


def test_a_folder_that_has_a_models_name_does_not_hide_it(
    a_package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "tiny").mkdir(parents=True)
    (tmp_path / "home" / "models").mkdir(parents=True)
    a_package.path.rename(tmp_path / "home" / "models" / "tiny")
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    assert load_package("tiny").path == tmp_path / "home" / "models" / "tiny"
    assert load_package(tmp_path / "home" / "models" / "tiny").id == "tiny"


def test_a_name_too_long_for_the_disk_is_refused() -> None:
    with pytest.raises(ModelRefused):
        load_package("n" * 300)


def test_a_network_that_its_model_json_contradicts_is_refused(a_package: ModelPackage) -> None:
    edit(a_package, lambda m: m["network_data_format"]["inputs"]["image"].update(spatial_dims=3, patch_size=[8, 8, 8]))
    package = load_package(a_package.path)
    with pytest.raises(ModelRefused, match="contradict"):
        TorchPredictor(package, "cpu").predict(np.zeros((1, 1, 8, 8, 8), np.float32))


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("not a zip")
    for name in ("empty", "text.zip", "missing.zip", "missing/folder"):
        with pytest.raises(ModelRefused):
            load_package(tmp_path / name)
    with pytest.raises(ModelRefused, match="models list"):
        load_package("no-such-model")


def test_safetensors_with_a_lying_header_is_refused(a_package: ModelPackage) -> None:
    import hashlib

    lie = struct.pack("<Q", 2**62) + b"{}"
    (a_package.path / "weights.safetensors").write_bytes(lie)
    edit(a_package, lambda m: m["weights"].update(sha256=hashlib.sha256(lie).hexdigest()))
    with pytest.raises(ModelRefused, match="do not fit"):
        verify(load_package(a_package.path))


def test_a_persons_models_are_found_by_id_and_broken_ones_are_listed(
    a_package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / "models"
    home.mkdir(parents=True)
    zipped(a_package.path, home / "mine.zip")
    (home / "broken").mkdir()
    (home / "broken" / "model.json").write_text("{")
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path / "home"))
    assert load_package("mine").id == "tiny"
    found = list_packages()
    assert any(isinstance(item, ModelRefused) for item in found)
    assert any(isinstance(item, ModelPackage) and item.id == "tiny" for item in found)


def test_the_schema_accepts_what_we_write_and_is_itself_valid() -> None:
    import jsonschema

    from imagetranslation.models import schema

    jsonschema.Draft202012Validator.check_schema(schema())
    made = copy.deepcopy(metadata())
    weights = {"file": "weights.safetensors", "sha256": "0" * 64, "dtype": "float16", "parameters": 1}
    made |= {"format_version": 1, "weights": weights}
    assert check_metadata(made, "test")["id"] == "tiny"


def test_a_network_that_cannot_run_on_its_own_windows_is_refused_when_its_work_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path / "home"))
    network = {"name": "pix2pix", "arguments": {"in_channels": 1, "out_channels": 1, "base": 2, "levels": 5}}
    package = make_package(tmp_path / "odd", made=metadata(network=network, patch_size=[24, 24]))
    with pytest.raises(ModelRefused, match="contradict each other"):
        workload.multiply_adds(package)
