"""One region in a source, its synthetic image and the real target: table, cohort spread, histograms, refusals."""

from __future__ import annotations

import csv
import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from imagetranslation import cli
from imagetranslation.errors import InputError
from imagetranslation.provenance import Provenance
from imagetranslation.radiomics import comparison
from imagetranslation.radiomics.extraction import extract_one
from imagetranslation.radiomics.preservation.longtable import LongTable, to_csv
from imagetranslation.radiomics.roi import Roi, from_labelmap
from imagetranslation.radiomics.settings import Settings
from imagetranslation.volume import Volume, write_volume

pytest.importorskip("radiomics")
pytest.importorskip("matplotlib")
from imagetranslation.radiomics.pyradiomics_engine import PyRadiomicsEngine

SHAPE = (6, 14, 14)
MEAN, SKEWNESS, VOLUME = "original_firstorder_Mean", "original_firstorder_Skewness", "original_shape_VoxelVolume"
MADE = Provenance("model", "1.0", "ab", "us2mri", "MR", "scan", "cd", "2026-01-01T00:00:00+00:00", "test")


@pytest.fixture
def images() -> dict[str, Volume]:
    """Simulated: a target, a synthetic image ten units brighter, and a source with the opposite contrast."""
    generator = np.random.default_rng(4)
    target = generator.normal(100, 10, SHAPE)
    made = {"source": 300 - target, "synthetic": target + 10, "reference": target}
    found = {role: Volume(array.astype(np.float32), name=role) for role, array in made.items()}
    return {**found, "synthetic": replace(found["synthetic"], provenance=MADE)}


@pytest.fixture
def roi() -> Roi:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:5, 3:11, 3:11] = 1
    (roi,) = from_labelmap(Volume(labels, name="mask"))
    return roi


@pytest.fixture
def cohort_file(tmp_path):
    """Simulated real targets of five patients whose mean is 96, 98, 100, 102 and 104."""
    table = LongTable(features={MEAN: (MEAN, "", "", "", "")})
    for number in range(5):
        case = (f"p{number}", "r")
        table.put("synthetic-target", "b", case, {MEAN: 96.0 + 2 * number}, ("",) * 5)
        table.put("synthetic-target", "a", case, {MEAN: 1000.0 * number}, ("",) * 5)
    path = tmp_path / "features.csv"
    path.write_text(to_csv(table))
    return path


def compared(images, roi, settings=None, **options):
    found = comparison.compare(images, roi, settings or Settings(), PyRadiomicsEngine(), **options)
    return found, {row.key: row for row in found.rows}


def test_every_image_has_the_values_that_extraction_gives_and_shape_is_taken_once(images, roi):
    found, rows = compared(images, roi)
    for role, image in images.items():
        alone = extract_one(image, roi, Settings(), PyRadiomicsEngine()).values
        assert {key: row.values[role] for key, row in rows.items()} == alone
    assert [len(result.features) for result in found.results.values()] == [107, 93, 93]
    assert rows[MEAN].difference == pytest.approx(10, abs=1e-3)
    assert rows[VOLUME].difference == 0
    assert found.against == "reference"


def test_without_a_real_target_the_difference_is_to_the_source_and_says_what_it_is_not(images, roi):
    del images["reference"]
    found, rows = compared(images, roi)
    assert found.against == "source"
    assert rows[MEAN].difference == pytest.approx(rows[MEAN].values["synthetic"] - rows[MEAN].values["source"])
    assert any("it shows a change and no error" in note for note in found.notes)


def test_percent_and_flags_come_from_the_cohorts_real_targets(images, roi, cohort_file):
    cohort = comparison.read_cohort(cohort_file)
    assert cohort[MEAN] == comparison.CohortFeature(pytest.approx(np.std([96, 98, 100, 102, 104], ddof=1)), 96, 104)
    _, rows = compared(images, roi, cohort=cohort)
    assert rows[MEAN].percent == pytest.approx(100 * rows[MEAN].difference / cohort[MEAN].sd)
    assert rows[MEAN].flag == "synthetic value outside the cohort's range"
    assert math.isnan(rows[SKEWNESS].percent)
    wide = {MEAN: comparison.CohortFeature(5.0, 0, 500)}
    assert compared(images, roi, cohort=wide)[1][MEAN].flag == "differs by more than the cohort's SD"
    assert compared(images, roi, cohort={MEAN: comparison.CohortFeature(50.0, 0, 500)})[1][MEAN].flag == ""


@pytest.mark.parametrize(("how", "said"), [
    (("mirp", Settings().sha256), "made by mirp"), (("pyradiomics", "another"), "made with other settings"),
])  # fmt: skip
def test_a_cohort_made_by_another_engine_or_with_other_settings_is_refused(images, roi, cohort_file, how, said):
    def written(engine, sha256):
        text = cohort_file.read_text().splitlines()
        rows = [row.split(",") for row in text]
        places = [rows[0].index(name) for name in ("engine", "settings_sha256")]
        for row in rows[1:]:
            row[places[0]], row[places[1]] = engine, sha256
        cohort_file.write_text("\n".join(",".join(row) for row in rows) + "\n")
        return comparison.read_cohort(cohort_file)

    assert compared(images, roi, cohort=written("pyradiomics", Settings().sha256))[1][MEAN].flag
    with pytest.raises(InputError, match=said):
        compared(images, roi, cohort=written(*how))


def test_scales_that_have_nothing_in_common_and_one_image_twice_are_said(images, roi):
    other = {**images, "synthetic": images["synthetic"].with_array(images["synthetic"].array / 1000)}
    found, _ = compared(other, roi)
    assert any("seem to be on different scales" in note for note in found.notes)
    twice = {**images, "synthetic": replace(images["reference"], provenance=MADE)}
    found, _ = compared(twice, roi)
    assert any("are the same image" in note for note in found.notes)
    found, _ = compared(images, roi)
    assert not any("scales" in note or "same image" in note for note in found.notes)


def test_histograms_share_their_edges_and_hold_every_voxel(images, roi):
    found, _ = compared(images, roi)
    values = [image.array[roi.slices][roi.mask] for image in images.values()]
    assert found.histogram.edges[[0, -1]] == pytest.approx([min(v.min() for v in values), max(v.max() for v in values)])
    for shares in found.histogram.shares.values():
        assert shares.sum() == pytest.approx(1)
    middles = (found.histogram.edges[1:] + found.histogram.edges[:-1]) / 2
    assert (middles * found.histogram.shares["synthetic"]).sum() == pytest.approx(110, abs=3)


def test_one_tissue_mask_normalises_all_images(images, roi):
    tissue = Volume(np.ones(SHAPE, np.uint8), name="body")
    found, rows = compared(images, roi, replace(Settings(), normalisation="z-score"), tissue=tissue)
    assert rows[MEAN].difference == pytest.approx(0, abs=1e-5)
    assert found.histogram.edges[-1] < 6
    with pytest.raises(InputError, match="--tissue"):
        compared(images, roi, replace(Settings(), normalisation="z-score"))


def test_an_image_on_another_grid_or_that_claims_to_be_another_is_said(images, roi):
    moved = {**images, "synthetic": replace(images["synthetic"], origin=(3.0, 0.0, 0.0))}
    with pytest.raises(InputError, match="another grid than synthetic"):
        compared(moved, roi)
    swapped = {**images, "synthetic": images["source"], "source": images["synthetic"]}
    notes = compared(swapped, roi)[0].notes
    assert any("does not say that it is synthetic" in note for note in notes)
    assert any("stands as source, but is marked synthetic" in note for note in notes)


@pytest.fixture
def run(monkeypatch, capsys):
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["imagetranslation", "radiomics", "compare", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return command


@pytest.fixture
def paths(images, roi, tmp_path):
    files = [write_volume(image, tmp_path / f"{role}.nrrd") for role, image in images.items()]
    mask = Volume(roi.full(), name="mask")
    return [*files, "--roi", write_volume(mask, tmp_path / "mask.nrrd")]


def test_the_command_writes_table_record_and_page(run, paths, cohort_file, tmp_path):
    code, out, err = run(*paths, "-o", tmp_path / "out", "--cohort", cohort_file)
    assert code == 0, err
    assert "Mean intensity" in out
    assert "SYNTHETIC" in out
    with open(tmp_path / "out" / "comparison.csv", encoding="utf-8", newline="") as stream:
        rows = {row["feature"]: row for row in csv.DictReader(stream)}
    assert len(rows) == 107
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    mean = next(row for row in record["features"] if row["feature"] == MEAN)
    assert float(rows[MEAN]["difference"]) == mean["difference"] == mean["synthetic"] - mean["reference"]
    assert mean["flag"] == "synthetic value outside the cohort's range"
    assert {row["settings_sha256"] for row in rows.values()} == {record["settings"]["sha256"]}
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "SYNTHETIC: model 1.0" in page
    assert page.count("<svg") == 1


def test_wrong_input_is_refused_in_a_sentence(run, paths, tmp_path):
    (tmp_path / "few.csv").write_text("patient,roi,relation,side,feature,value\np,r,synthetic-target,b,f,1\n")
    for more, said in (
        (["--cohort", tmp_path / "few.csv"], "real target images of 1 patients"),
        (["--label", "7"], "has no label 7"),
        (["--label", "all"], "One region is compared at a time"),
        (["--engine", "weka"], "no radiomics engine"),
    ):
        code, out, err = run(*paths, "-o", tmp_path / "out", *more)
        assert (code, out) == (2, "")
        assert said in err
        assert not (tmp_path / "out").exists()
