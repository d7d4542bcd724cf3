"""Extraction from start to end: the command, its files, the cache, several processes, preparation and refusals."""

from __future__ import annotations

import copy
import csv
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import Cancelled, InputError
from imagetranslation.radiomics.cache import Cache
from imagetranslation.radiomics.engine import Feature, RoiResult, make_engine
from imagetranslation.radiomics.extraction import extract, extract_one
from imagetranslation.radiomics.mirp_engine import MirpEngine
from imagetranslation.radiomics.preprocess import estimated_tissue, prepare
from imagetranslation.radiomics.roi import Roi, from_labelmap
from imagetranslation.radiomics.settings import Settings, from_mapping, from_parameters
from imagetranslation.volume import Volume, write_volume

pytest.importorskip("radiomics")
from imagetranslation.radiomics.pyradiomics_engine import PyRadiomicsEngine, stock

SHAPE = (16, 24, 28)


@pytest.fixture
def image() -> Volume:
    rng = np.random.default_rng(3)
    smooth = rng.normal(0, 1, SHAPE) + 2 * np.sin(np.arange(28) / 3) + np.cos(np.arange(24) / 4)[:, None]
    return Volume((smooth * 60 + 500).astype(np.int16), (1.0, 1.0, 2.0), name="scan", modality="MR")


@pytest.fixture
def regions(image: Volume) -> list[Roi]:
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:9, 4:12, 5:14] = 1
    labels[8:15, 13:22, 15:26] = 2
    labels[0:2, 0:3, 0:3] = 5
    return from_labelmap(replace(image, array=labels, name="mask", modality=""))


@pytest.fixture
def files(image: Volume, regions: list[Roi], tmp_path: Path) -> tuple[Path, Path]:
    labels = sum(roi.full() * roi.label for roi in regions).astype(np.uint8)
    scan = write_volume(image, tmp_path / "scan.nrrd")
    return scan, write_volume(replace(image, array=labels, modality=""), tmp_path / "mask.nrrd")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imagetranslation", "radiomics", "extract", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_prints_name_family_and_value(files):
    ran = run(*files, "--label", 1)
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in ran.stdout.splitlines() if "Mean intensity" in line]
    assert len(lines) == 1
    assert "Intensity statistics" in lines[0]
    assert "107 features by pyradiomics" in ran.stdout


def test_json_holds_everything_and_pyradiomics_own_keys_to_the_bit(files, image, regions, tmp_path):
    parameters = {"setting": {"binWidth": 20, "label": 2}, "imageType": {"Original": {}, "Wavelet": {}}}
    (tmp_path / "params.yaml").write_text(json.dumps(parameters))
    ran = run(*files, "--settings", tmp_path / "params.yaml", "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    expected = stock(image, regions[1], from_parameters(parameters))
    expected = {key: float(value) for key, value in expected.items() if not key.startswith("diagnostics")}
    assert found["values"] == expected
    assert len(expected) > 800
    assert (found["engine"], found["engine_version"]) == ("pyradiomics", PyRadiomicsEngine().version)
    assert found["roi"]["sha256"] == regions[1].sha256
    assert found["settings"]["parameters"] == parameters
    mean = next(feature for feature in found["features"] if feature["engine_name"] == "original_firstorder_Mean")
    assert (mean["ibsi"], mean["family"], mean["unit"]) == ("Q4LE", "Intensity statistics", "intensity")


def test_the_table_carries_hash_geometry_and_settings_in_every_row(files, regions, tmp_path):
    ran = run(*files, "--label", "all", "--settings", _lenient(tmp_path), "-o", tmp_path / "out.csv", "--workers", 2)
    assert ran.returncode == 0, ran.stderr
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3 * 107
    beside = json.loads((tmp_path / "out.json").read_text())
    for roi, kept in zip(regions, beside["rois"]):
        mine = [row for row in rows if row["label"] == str(roi.label)]
        assert {row["roi_sha256"] for row in mine} == {roi.sha256}
        assert {row["settings_sha256"] for row in mine} == {kept["settings"]["sha256"]}
        for row in mine:
            value = kept["values"][row["engine_name"]]
            assert (float(row["value"]) if row["value"] else None) == value


def _lenient(tmp_path: Path) -> Path:
    path = tmp_path / "lenient.yaml"
    path.write_text("minimum_voxels: 10\n")
    return path


def test_a_region_that_is_too_small_is_named_and_the_others_are_done(files):
    ran = run(*files, "--label", "all", "--json")
    assert ran.returncode == 4
    found = json.loads(ran.stdout)
    assert [bool(roi["refused"]) for roi in found["rois"]] == [False, False, True]
    assert "at least 64 are needed" in found["rois"][2]["refused"]
    alone = run(*files, "--label", 5)
    assert alone.returncode == 2
    assert alone.stderr.startswith("Error: mask label 5 has 18 voxels")


@pytest.mark.parametrize("engine", [PyRadiomicsEngine, MirpEngine])
def test_resampling_that_leaves_too_few_voxels_is_refused(image, regions, engine):
    if engine is MirpEngine:
        pytest.importorskip("mirp")
    with pytest.raises(InputError, match=r"has \d+ voxels after resampling; at least 64 are needed"):
        extract_one(image, regions[0], Settings(spacing=(3.0, 3.0, 3.0)), engine())


def test_the_json_beside_a_table_never_replaces_the_settings_it_was_made_with(files, tmp_path):
    chosen = tmp_path / "chosen.json"
    chosen.write_text('{"bin_number": 16}')
    ran = run(*files, "--label", 1, "--settings", chosen, "-o", tmp_path / "chosen.csv")
    assert ran.returncode == 2
    assert "give another name with -o" in ran.stderr
    assert chosen.read_text() == '{"bin_number": 16}'


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "weka"], "no radiomics engine 'weka'"),
        (["--features", "all"], "no feature set 'all'"),
        (["--engine", "pyradiomics", "--features", "paper186"], "made by mirp"),
        (["--features", "ibsi", "--mirp-python", "/nowhere/python"], "cannot be started"),
        (["--settings", "absent.yaml"], "cannot be read"),
        (["-o", "table.xlsx"], ".csv"),
    ],
)
def test_a_wrong_option_is_refused_in_a_sentence(files, arguments, said):
    ran = run(*files, "--label", 1, *arguments)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_without_mirp_in_the_environment_pointed_to_the_person_is_told_how(files, tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.base_prefix}/bin/python3 -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(InputError, match=r"MIRP is not installed in .* --mirp-python"):
        MirpEngine("paper186", str(bare))
    with pytest.raises(InputError, match="does not run as a Python interpreter"):
        MirpEngine("paper186", "/bin/true")


def test_too_few_grey_levels_are_refused_and_a_unit_image_at_the_default_bin_width(image, regions):
    engine, roi = PyRadiomicsEngine(), regions[0]
    with pytest.raises(InputError, match=r"make 5 grey levels; at least 8 are needed .* too few different"):
        extract_one(image.with_array(image.array // 150), roi, Settings(), engine)
    unit = image.with_array((image.array - image.array.min()) / np.float64(np.ptp(image.array)))
    with pytest.raises(InputError, match=r"bin width of 25, .* make 1 grey level; at least 2"):
        extract_one(unit, roi, from_parameters({"setting": {"binWidth": 25}}), engine)
    chosen = extract_one(unit, roi, from_parameters({"setting": {"binWidth": 500}}), engine)
    assert any("only 1 grey level" in sentence for sentence in chosen.warnings)
    assert extract_one(unit, roi, Settings(), engine).grey_levels > 20
    with pytest.raises(InputError, match="constant"):
        extract_one(image.with_array(np.full(SHAPE, 7, np.int16)), roi, Settings(), engine)
    with pytest.raises(InputError, match="too close together"):
        extract_one(image.with_array((image.array / 20 + 1e8).astype(np.float32)), roi, Settings(), engine)


@pytest.mark.parametrize("width", [1e-9, 0.004])
def test_a_bin_width_that_makes_more_levels_than_fit_is_refused_before_it_is_tried(image, regions, width):
    settings = from_parameters({"setting": {"binWidth": width}})
    with pytest.raises(InputError, match="more than can be worked with"):
        extract_one(image, regions[0], settings, PyRadiomicsEngine())


def test_features_that_must_not_feel_an_affine_change_of_intensity_do_not(image, regions):
    engine, roi = PyRadiomicsEngine(), regions[0]
    scaled = image.with_array(image.array.astype(np.float64) * 3 - 700)
    before = extract_one(image, roi, Settings(), engine)
    after = extract_one(scaled, roi, Settings(), engine)
    kept = [f"original_firstorder_{name}" for name in ("Entropy", "Uniformity", "Skewness", "Kurtosis")]
    kept += [key for key in before.values if "_firstorder_" not in key]
    invariant = {key: before.values[key] for key in kept}
    assert len(invariant) == 107 - 18 + 4
    assert {key: after.values[key] for key in invariant} == pytest.approx(invariant, rel=1e-9)
    assert after.values["original_firstorder_Mean"] == pytest.approx(
        3 * before.values["original_firstorder_Mean"] - 700
    )


def test_several_processes_and_the_cache_give_the_same_bits(image, regions, tmp_path):
    engine, settings = PyRadiomicsEngine(), replace(Settings(), minimum_voxels=10)
    alone = extract(image, regions, settings, engine)
    shared = extract(image, regions, settings, engine, workers=2)
    assert [result.values for result in shared] == [result.values for result in alone]
    cache = Cache(tmp_path / "cache")
    first = extract(image, regions, settings, engine, cache=cache)
    assert [result.values for result in first] == [result.values for result in alone]

    class Idle:
        name, version, feature_set = engine.name, engine.version, engine.feature_set

        def extract(self, *_, **__):
            raise AssertionError("it was kept")

    again = extract(image, regions, settings, Idle(), cache=cache)
    assert [result.to_dict() for result in again] == [result.to_dict() for result in first]


def test_a_dask_scheduler_does_the_work_and_gives_the_same_bits(image, regions):
    distributed = pytest.importorskip("distributed")
    engine = PyRadiomicsEngine()
    alone = extract(image, regions[:2], Settings(), engine)
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as crew:
        shared = extract(image, regions[:2], Settings(), engine, scheduler=crew.scheduler_address)
    assert [result.values for result in shared] == [result.values for result in alone]
    with pytest.raises(InputError, match="No Dask scheduler answers"):
        extract(image, regions[:1], Settings(), engine, scheduler="tcp://127.0.0.1:9")


@pytest.mark.parametrize("change", ["image", "region", "settings", "shape"])
def test_the_cache_answers_for_the_same_input_only(image, regions, tmp_path, change):
    engine, cache, settings, shape = PyRadiomicsEngine(), Cache(tmp_path), Settings(), True
    before = extract_one(image, regions[0], settings, engine, cache=cache)
    roi = regions[1] if change == "region" else regions[0]
    if change == "image":
        image = image.with_array(image.array + 1)
    if change == "settings":
        settings = Settings(bin_number=16)
    shape = change != "shape"
    after = extract_one(image, roi, settings, engine, cache=cache, shape=shape)
    assert after.values != before.values
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_cache_file_is_computed_anew(image, regions, tmp_path):
    engine, cache = PyRadiomicsEngine(), Cache(tmp_path)
    before = extract_one(image, regions[0], Settings(), engine, cache=cache)
    (kept,) = tmp_path.iterdir()
    for content in ("", "[]", "{}", '{"key": "' + kept.stem + '", "result": {}}', kept.read_text()[:-5], "[" * 5000):
        kept.write_text(content)
        assert extract_one(image, regions[0], Settings(), engine, cache=cache).values == before.values


def test_shape_is_left_out_for_the_second_image_and_is_the_same_for_every_image(image, regions):
    engine = PyRadiomicsEngine()
    whole = extract_one(image, regions[0], Settings(), engine)
    without = extract_one(image, regions[0], Settings(), engine, shape=False)
    shape = {key: value for key, value in whole.values.items() if "_shape_" in key}
    assert len(shape) == 14
    assert without.values == {key: value for key, value in whole.values.items() if key not in shape}
    other = extract_one(image.with_array(image.array[::-1].copy()), regions[0], Settings(), engine)
    assert {key: other.values[key] for key in shape} == shape


def test_cancelling_ends_before_the_next_region(image, regions):
    with pytest.raises(Cancelled):
        extract(image, regions, Settings(), PyRadiomicsEngine(), cancelled=lambda: True)


def test_results_survive_json_to_the_bit_also_where_they_are_not_defined():
    features = (Feature("a", "AAAA", "f", "x", 0.1 + 0.2), Feature("b", "", "f", "y", math.nan))
    result = RoiResult("e", "1", "s", {"sha256": "0"}, {}, features, 4, ("gap",), ("w",))
    back = RoiResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert back.features[0] == features[0]
    assert math.isnan(back.features[1].value)
    assert replace(back, features=()) == replace(result, features=())


def test_normalisation_needs_a_tissue_mask_that_is_not_the_region(image, regions):
    settings = from_mapping({"normalisation": "z-score"})
    roi = regions[0]
    with pytest.raises(InputError, match="tissue mask"):
        prepare(image, settings)
    itself = replace(image, array=roi.full(), name="tissue")
    with pytest.raises(InputError, match="is the region itself"):
        prepare(image, settings, itself, [roi])
    with pytest.raises(InputError, match="another grid"):
        prepare(image, settings, replace(itself, spacing=(1.0, 1.0, 3.0)), [roi])
    body = replace(image, array=np.ones(SHAPE, np.uint8), name="body")
    prepared = prepare(image, settings, body, [roi])
    assert (prepared.array.mean(), prepared.array.std()) == (pytest.approx(0, abs=1e-12), pytest.approx(1))
    result = extract_one(image, roi, settings, PyRadiomicsEngine(), tissue=body)
    assert any("z-scores over the tissue" in sentence for sentence in result.warnings)
    plain = extract_one(image, roi, Settings(), PyRadiomicsEngine())
    assert result.values["original_glcm_Contrast"] == pytest.approx(plain.values["original_glcm_Contrast"])
    assert result.values["original_firstorder_Mean"] != pytest.approx(plain.values["original_firstorder_Mean"])


def test_one_tissue_mask_serves_two_images_and_a_bias_field_is_removed():
    _, j, i = np.indices((32, 48, 48))
    body = ((i - 24) ** 2 + (j - 24) ** 2) < 20**2
    flat = np.where(body, 200.0, 5.0) + np.random.default_rng(0).normal(0, 2, body.shape)
    biased = Volume(flat * np.exp(0.4 * (i - 24) / 24), name="biased")
    tissue = estimated_tissue(Volume(flat, name="flat"))
    assert (tissue.array.astype(bool) == body).mean() > 0.99
    mended = prepare(biased, from_mapping({"bias_field_correction": True}), tissue)
    spread = [array[body].std() / array[body].mean() for array in (biased.array, mended.array)]
    assert spread[1] < 0.3 * spread[0]


def test_mirp_can_be_sent_to_several_processes_and_starts_once_in_each() -> None:
    pytest.importorskip("mirp")
    engine = MirpEngine("ibsi")
    first, second = copy.copy(engine), copy.copy(engine)  # by the rules of pickling
    assert first is second
    assert first.feature_set == "ibsi"
    first.close()
    engine.close()


def test_mirp_sees_the_same_whether_the_image_was_cropped_or_not(image, regions, tmp_path):
    pytest.importorskip("mirp")
    wide = np.full((40, 60, 70), 450, np.int16)
    wide[12:28, 18:42, 21:49] = image.array
    labels = np.zeros(wide.shape, np.uint8)
    labels[12:28, 18:42, 21:49] = regions[0].full()
    (roi,) = from_labelmap(Volume(labels, image.spacing, name="mask"))
    engine = make_engine("paper186")
    ours = extract_one(Volume(wide, image.spacing, name="wide"), roi, Settings(), engine)
    paths = [
        str(write_volume(Volume(array, image.spacing), tmp_path / f"{name}.nii.gz"))
        for name, array in (("image", wide), ("mask", labels))
    ]
    from imagetranslation.radiomics.mirp_engine import _arguments

    arguments = _arguments(wide[roi.slices][roi.mask], Settings(), "paper186", True)
    whole = engine._first.ask({"image": paths[0], "mask": paths[1], "arguments": arguments})
    assert len(ours.values) == 185
    assert ours.values == pytest.approx({key: whole[key] for key in ours.values}, rel=1e-9)
    assert "its own process" in ours.isolation
    engine.close()


def test_an_engine_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "radiomics", None)
    with pytest.raises(InputError, match=r"PyRadiomics is not installed here.*Radiomics"):
        make_engine("pyradiomics")
