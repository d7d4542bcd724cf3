"""The report of a study: a whole tiny one, its headings, what is counted from lesions, and growth."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.volume import read_volume, write_volume
from training_tools import reproduce
from training_tools.benchmarking import entries
from training_tools.evaluating.writing import write_rows
from training_tools.phantoms.bonescan_writing import Order, write_cases
from training_tools.reproducing import growth, helping, lesiontables, report, tables
from training_tools.reproducing.choices import Choices
from training_tools.reproducing.differences import NOT_DONE, differences
from training_tools.reproducing.published import GAP, UNKNOWN
from training_tools.reproducing.sizes import sizes_for

from .reproductions import choices, tiny, visits

NETWORKS = entries.CONFIGS
SECTIONS = (
    "Image similarity",
    "Radiomic features",
    "Reading by physicians",
    "Classification",
    "Lesions",
    "Failure atlas",
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Prepared pairs of twelve patients, some with two visits or without one label, and a whole study of them."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        tiny(patch, folder / "networks")
        prepared = visits(folder / "pairs")
        reproduce.reproduce(choices(prepared, folder / "out"))
        yield prepared, folder / "out"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def headings(page: str) -> list[str]:
    return re.findall(r"<h[123]>(.*?)</h[123]>", page)


class TestWholeStudy:
    def test_the_page_has_the_papers_sections_in_their_order(self, study: tuple[Path, Path]) -> None:
        page = (study[1] / "report.html").read_text(encoding="utf-8")
        numbered = [text for text in headings(page) if re.match(r"\d\. ", text)]
        assert [re.sub(r"^\d\. | \(beyond.*", "", text) for text in numbered] == list(SECTIONS)
        for heading in ("The data", "Differences of protocol", "Steps", "Settings"):
            assert heading in headings(page)

    def test_the_page_needs_nothing_else_and_its_links_are_there(self, study: tuple[Path, Path]) -> None:
        page = (study[1] / "report.html").read_text(encoding="utf-8")
        assert not re.findall(r"https?://(?!www\.w3\.org)|<script|<link|@import|url\(", page)
        links = re.findall(r"href='([^']*)'", page)
        assert len(links) > len(SECTIONS)
        assert [link for link in links if not (study[1] / link).is_file()] == []

    def test_a_tested_patient_is_shown_with_every_networks_image_marked(self, study: tuple[Path, Path]) -> None:
        _, output = study
        report = json.loads((output / "report.json").read_text())
        (case,) = next(part for part in report["sections"] if part["title"] == "Image similarity")["pictured"]
        shown = re.findall(
            r"<img src='data:image/png;base64,[^']+' alt='([^']+)'>", (output / "report.html").read_text()
        )
        networks = [path.parents[1].name for path in (output / "benchmark").glob("*/fold-0/pictures")]
        assert set(shown) == {f"{case}, {words}" for words in ("source", "real target", *networks)}
        assert (output / "benchmark" / networks[0] / "fold-0" / "pictures" / f"{case}-synthetic.png").is_file()

    def test_published_numbers_stand_beside_ours(self, study: tuple[Path, Path]) -> None:
        page = (study[1] / "report.html").read_text(encoding="utf-8")
        for told in ("0.855 ± 0.032", "76 of 186", "about 0.93 ± 0.05", ">794<", ">7<"):
            assert told in page, told

    def test_real_data_are_not_called_simulated_and_are_named(self, study: tuple[Path, Path]) -> None:
        page = (study[1] / "report.html").read_text(encoding="utf-8")
        assert report.SIMULATED not in page
        assert str(study[0].resolve()) in page
        told = json.loads((study[1] / "report.json").read_text())
        assert told["data"]["patients"] == 12
        assert told["data"]["sha256_of_all_files"] in page

    def test_a_published_number_stands_in_the_column_of_published_ones(self, study: tuple[Path, Path]) -> None:
        page = (study[1] / "report.html").read_text(encoding="utf-8")
        row = re.findall(r"<tr><td[^>]*>Patients</td>(.*?)</tr>", page)[0]
        assert re.findall(r"<td class='([^']*)'>(.*?)</td>", row) == [("w published", "794"), ("w ", "12")]

    def test_what_steps_left_out_or_refused_is_on_the_page_and_in_the_record(self, study: tuple[Path, Path]) -> None:
        page = (study[1] / "report.html").read_text(encoding="utf-8")
        told = {
            t["name"]: t for s in json.loads((study[1] / "report.json").read_text())["sections"] for t in s["tables"]
        }
        refused = next(row for row in read(study[1] / "lesions" / "reading" / "lesions.csv") if row["refused"])
        assert any(refused["refused"] in sentence for sentence in told["lesions"]["left_out"])
        assert html.escape(refused["refused"]) in page
        record = json.loads((study[1] / "preservation" / "report" / "preservation.json").read_text())
        for one in record["excluded"]:
            assert any(one["patient"] in sentence for sentence in told["preservation"]["left_out"]), one
        assert "Left out, refused or noted" in page
        assert any(text.startswith("No zones of the prostate were given") for text in told["lesions"]["left_out"])
        assert "taken on trust" in (study[1] / "lesions" / "reading" / "lesions.html").read_text(encoding="utf-8")
        assert not any("taken on trust" in sentence for sentence in told["lesions"]["left_out"])
        assert lesiontables.CHECKED in told["lesions"]["notes"]

    def test_suspicious_features_are_in_the_report(self, study: tuple[Path, Path], tmp_path: Path) -> None:
        shutil.copytree(study[1] / "classification" / "reading", tmp_path / "reading")
        path = tmp_path / "reading" / "classification.json"
        said = "The feature psa of source tells the labels apart without a single error"
        path.write_text(json.dumps({**json.loads(path.read_text()), "suspicious": [said]}))
        assert said in tables.classification(tmp_path / "reading").left

    def test_patients_without_one_label_are_named_and_the_others_classified(self, study: tuple[Path, Path]) -> None:
        page = (study[1] / "report.html").read_text(encoding="utf-8")
        assert "1 patients have no label and are not classified: p10." in page
        assert "p11 has different labels at different visits (0, 1) and is not classified." in page
        assert "is given the first by name of each, and classifiers of features the mean over all: case0." in page
        told = json.loads((study[1] / "classification" / "reading" / "classification.json").read_text())
        assert told["patients"] == 10
        everyone = json.loads((study[1] / "translators" / "crossfit" / "crossfit.json").read_text())["images"]["all"]
        assert len(everyone) == 12

    def test_features_are_those_that_were_classified(self, study: tuple[Path, Path]) -> None:
        with (study[1] / "differences.csv").open(newline="") as stream:
            told = {row["point"]: row["here"] for row in csv.DictReader(stream)}
        assert told["Classification: models"] == "resnet10; on the images alone"
        assert "near-copies by likeness" in told["Patients apart"]
        assert told["Registration of the pairs"].startswith("the folder was prepared before")

    def test_the_table_of_cross_fitted_images_covers_every_patient(self, study: tuple[Path, Path]) -> None:
        with (study[1] / "cross_fitted.csv").open(newline="") as stream:
            rows = {row["Images"]: row for row in csv.DictReader(stream)}
        assert rows["2D-Pix2Pix, cross-fitted"]["Patients"] == "12"
        assert rows["2D-Pix2Pix, cross-fitted"]["Published SSIM"] == "0.855 ± 0.032"
        assert rows["real target (reference)"]["SSIM"].startswith("1.000")

    def test_no_image_comes_from_a_translator_that_saw_its_patient(self, study: tuple[Path, Path]) -> None:
        record = json.loads((study[1] / "translators" / "crossfit" / "crossfit.json").read_text())
        for patient, said in record["images"]["all"].items():
            assert patient not in record["translators"][said["translator"]]["trained_on"]

    def test_the_reader_study_is_ready_for_readers_and_sealed(self, study: tuple[Path, Path]) -> None:
        from imagetranslation.readerstudy.definition import load_study
        from imagetranslation.readerstudy.readingset import load_reading_set

        place = study[1] / "study" / "study"
        made = load_study(place)
        assert (len(made.cases), len(made.readers)) == (2, 2)
        assert {arm.kind for arm in made.arms} == {"real", "synthetic"}
        assert load_reading_set(place).study == made.id

    def test_given_again_nothing_is_done_again(
        self, study: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = {path: path.stat().st_mtime_ns for path in (study[1] / "steps").iterdir()}
        reproduce.reproduce(choices(*study))
        assert "All 9 steps are done." in capsys.readouterr().err
        assert {path: path.stat().st_mtime_ns for path in (study[1] / "steps").iterdir()} == before

    def test_changed_prepared_images_are_refused(self, study: tuple[Path, Path], tmp_path: Path) -> None:
        own, out = (Path(shutil.copytree(place, tmp_path / place.name)) for place in study)
        begun = json.loads((out / "reproduction.json").read_text())
        path = own / "target" / "case2.nrrd"
        volume = read_volume(path)
        write_volume(volume.with_array(volume.array + 1), path)
        wanted = choices(own, out)
        (out / "reproduction.json").write_text(json.dumps({**wanted.record(), "software": begun["software"]}))
        about = json.loads((out / "prepared" / "data.json").read_text())
        (out / "prepared" / "data.json").write_text(json.dumps({**about, "cases_folder": str(own)}))
        with pytest.raises(InputError, match=r"The cases in .* have changed since this study was begun"):
            reproduce.reproduce(wanted)


OUTCOMES = {"f": "found", "m": "missed", "i": "invented", "c": "clear", "?": ""}


def lesion_table(
    folder: Path, outcomes: dict[str, str], rate: tuple[int, ...] = (1, 0), outside: dict[str, str] | None = None
) -> Path:
    """A reading with these outcomes (f, m, i, c by letter; ? refused) in each group, and outside hyperemia."""
    from imagetranslation.readerstudy.statistics.bootstrap import Resampling
    from training_tools.lesionreading import boneresults

    folder.mkdir(parents=True)
    rows = [
        {
            "case": f"a{n}", "patient": f"a{n}", "group": group, "lesion": n, "reader": "rule", "outcome": OUTCOMES[o],
            "hyperaemic": int(inside), "refused": "it is cut off" if o == "?" else "", "ratio_real": "", "size_mm": 9.0,
        }
        for inside, told in ((True, outcomes), (False, outside or {}))
        for group, said in told.items() for n, o in enumerate(said)
    ]  # fmt: skip
    images = [{"case": n, "patient": n, "group": "CRPS", "false_positives": count} for n, count in enumerate(rate)]
    own = boneresults._of_reader(rows, images, (10.0,), (1.5,), Resampling(draws=100, seed=1))
    record = {"results": {"readers": {"rule": own}}, "excluded": ["b: no delayed image."], "notes": []}
    (folder / "lesions.json").write_text(json.dumps(record))
    write_rows(rows, folder / "lesions.csv")
    write_rows(images, folder / "images.csv")
    return folder


class TestLesions:
    def test_sensitivity_is_found_of_those_increased_in_hyperemia(self, tmp_path: Path) -> None:
        """The published numbers are of lesions in areas matching hyperemia: others must not enter ours."""
        outside = {"CRPS": "mmmm", "cellulitis": "f"}
        folder = lesion_table(
            tmp_path / "read", {"CRPS": "fffmci?", "inflammatory arthritis": "fm"}, outside=outside
        )  # fmt: skip
        first, second, third, whole = lesiontables.sensitivities("pool2delayed", folder)
        assert (first.group, first.chief["k"], first.chief["n"]) == ("inflammatory arthritis", 1, 2)
        assert (second.chief["k"], second.chief["n"], second.every["n"]) == (3, 4, 8)
        assert (second.invented, second.unread) == (1, 1)
        assert (third.group, third.chief, third.every["n"]) == ("cellulitis", None, 1)
        assert (whole.group, whole.chief["n"], whole.every["n"]) == ("all groups", 6, 11)
        # Wilson's interval of 3 of 4, by hand: centre (3 + z^2/2) / (4 + z^2), z = 1.96.
        ends = second.chief["wilson"]
        assert (ends["low"], ends["high"]) == pytest.approx((0.3006, 0.9544), abs=1e-4)

    def test_intervals_of_few_patients_bear_a_star_and_the_note_stands_below(self, tmp_path: Path) -> None:
        few = lesion_table(tmp_path / "few", {"CRPS": "fffmfmmf"})
        many = lesion_table(tmp_path / "many", {"CRPS": "fffmfmmffm"})
        for table in (lesiontables.lesions("pool2delayed", few), lesiontables.sweep({"rho 0": few})):
            assert table.notes[-1] == "* only 8 patients: take the interval as rough."
            assert any(" *" in str(cell) for row in table.rows for cell in row)
        for table in (lesiontables.lesions("pool2delayed", many), lesiontables.sweep({"rho 0": many})):
            assert not any("*" in str(text) for row in (*table.rows, table.notes) for text in row)

    def test_groups_stand_beside_the_published_numbers_also_those_without_lesions(self, tmp_path: Path) -> None:
        folder = lesion_table(
            tmp_path / "read", {"CRPS": "fffm?", "none": "m"}, outside={"CRPS": "m", "cellulitis": "f"}
        )
        table = lesiontables.lesions("pool2delayed", folder)
        rows = {row["Disease group"]: row for row in table.records()}
        assert (rows["CRPS"]["Published"], rows["CRPS"]["Sensitivity in hyperemia"]) == ("87.5 %", "75.0 %")
        assert (rows["CRPS"]["Wilson"], rows["CRPS"]["Lesions"]) == ("30 to 95 %", "3 of 4")
        assert (rows["CRPS"]["Sensitivity, all lesions"], rows["CRPS"]["All lesions"]) == ("60.0 %", "3 of 5")
        assert "too few to resample" in rows["CRPS"]["95% interval over patients"]
        assert rows["recent bone injury"]["Sensitivity in hyperemia"] == "no lesion of this group"
        cells = rows["cellulitis"]
        assert (cells["Published"], cells["Sensitivity in hyperemia"]) == ("about 44 %", "no lesion increased")
        assert cells["All lesions"] == "1 of 1"
        assert (rows["none"]["Published"], rows["none"]["Sensitivity in hyperemia"]) == ("–", "0.0 %")
        assert rows["false positives an image"]["Sensitivity in hyperemia"] == "0.50"

    def test_what_was_not_read_is_counted_and_listed(self, tmp_path: Path) -> None:
        table = lesiontables.lesions("pool2delayed", lesion_table(tmp_path / "read", {"CRPS": "fm?"}))
        assert {row["Disease group"]: row["Not read"] for row in table.records()}["CRPS"] == 1
        assert table.left == ("b: no delayed image.", "a2, lesion 2: it is cut off")

    def test_the_interval_over_patients_stands_beside_wilsons(self, tmp_path: Path) -> None:
        table = lesiontables.lesions("pool2delayed", lesion_table(tmp_path / "read", {"CRPS": "fffmmfmfmf"}))
        row = {row["Disease group"]: row for row in table.records()}["CRPS"]
        assert re.fullmatch(r"\d+ to \d+ %", row["95% interval over patients"])
        assert row["Clopper-Pearson"] == "26 to 88 %"

    def test_prostate_lesions_are_told_in_their_own_words(self, study: tuple[Path, Path]) -> None:
        table = lesiontables.lesions("us2mri", study[1] / "lesions" / helping.OUTCOME)
        told = json.dumps([table.title, table.header, table.rows, table.notes])
        assert not re.search(r"increased|uptake|isease|hyperemia", told)
        assert "seen" in told
        assert table.records()[-2]["Group"] == "all lesions"

    def test_the_sweep_has_a_column_for_each_rho_and_no_single_number(self, tmp_path: Path) -> None:
        low = lesion_table(tmp_path / "low", {"CRPS": "fmmm"}, outside={"CRPS": "ffff", "cellulitis": "f"})
        high = lesion_table(tmp_path / "high", {"CRPS": "ffff?"}, (2, 2))
        table = lesiontables.sweep({"rho 0": low, "rho 0.9": high})
        assert table.header == ("Disease group", "Published", "rho 0", "rho 0.9")
        rows = {row[0]: row for row in table.rows}
        assert re.fullmatch(r"25 % \(\d+ to \d+ % Wilson; 1 of 4\)", rows["CRPS"][2])
        assert rows["CRPS"][3].startswith("100 % (")
        assert rows["cellulitis"][2] == "no lesion increased"
        assert rows["all groups, also outside hyperemia"][2].endswith("6 of 9)")
        assert rows["false positives an image"][2:] == ("0.50", "2.00")
        assert rows["lesions not read"][2:] == (0, 1)
        assert "rho 0.9: a4, lesion 4: it is cut off" in table.left
        drawn = lesiontables.sweep_plot({"rho 0": (0.0, low), "rho 0.9": (0.9, high)})
        assert drawn.startswith("<svg")
        assert report.SIMULATED in drawn

    def test_a_translator_with_known_misses_has_the_sensitivity_that_was_put_in(self, tmp_path: Path) -> None:
        """Bone scans whose synthetic image is the real one, but every second increased lesion is wiped out."""
        scans = tmp_path / "scans"
        write_cases(Order(8, 3, region="hands", groups=("recent bone injury",)), scans)
        (tmp_path / "same").mkdir()
        for path in sorted((scans / "target").iterdir()):
            shutil.copy(path, tmp_path / "same" / path.name)
        assert helping.read_lesions("pool2delayed", scans, tmp_path / "same", tmp_path / "first") == ""
        whole = lesiontables.sensitivities("pool2delayed", tmp_path / "first" / helping.OUTCOME)[-1]
        assert (whole.every["k"], whole.invented) == (whole.every["n"], 0)
        with (tmp_path / "first" / helping.OUTCOME / "lesions.csv").open(newline="") as stream:
            found = [row for row in csv.DictReader(stream) if row["outcome"] == "found"]
        missed = found[::2]
        shutil.copytree(tmp_path / "same", tmp_path / "misses")
        for row in missed:
            _wipe(scans, tmp_path / "misses" / f"{row['case']}.nrrd", row)
        assert helping.read_lesions("pool2delayed", scans, tmp_path / "misses", tmp_path / "second") == ""
        own = lesiontables.sensitivities("pool2delayed", tmp_path / "second" / helping.OUTCOME)[-1]
        assert (own.every["k"], own.every["n"]) == (len(found) - len(missed), len(found))
        rows = lesiontables.lesions("pool2delayed", tmp_path / "second" / helping.OUTCOME).records()
        row = next(row for row in rows if row["Disease group"] == own.group)
        assert row["Sensitivity, all lesions"] == f"{100 * (len(found) - len(missed)) / len(found):.1f} %"


def _wipe(scans: Path, path: Path, row: dict[str, str]) -> None:
    """Give a lesion's region the counts of its surroundings."""
    from scipy.ndimage import binary_dilation

    label = read_volume(scans / "lesion" / path.name).array[0]
    volume = read_volume(path)
    array = volume.array.copy()
    region = binary_dilation(label == int(row["lesion"]), iterations=3)
    around = binary_dilation(region, iterations=4) & ~region & (label == 0)
    array[0][region] = np.median(array[0][around])
    write_volume(volume.with_array(array), path)


class TestDifferences:
    @pytest.mark.parametrize("task", ["us2mri", "pool2delayed"])
    def test_every_point_says_both_sides_and_gaps_are_called_gaps(self, task: str) -> None:
        made = Choices(task, "phantom", Path("x"), True, sizes_for(task, True), 1)
        rows = differences(made, {"simulated": True, "patients": 24, "cases": 24}, {})
        assert all(point and there and here for point, there, here in rows)
        assert len({point for point, _, _ in rows}) == len(rows) > 10
        text = json.dumps(rows)
        assert UNKNOWN in text
        assert GAP in text
        assert "--quick" in text

    def test_no_page_says_more_of_the_studies_than_the_facts_hold(self, repository: Path) -> None:
        words = r"not\W+published(?!\W+in what we could read)|physicians in 1464|nobody has published|are of readers"
        found = [
            f"{path.name}: {hit[0]}"
            for room in ("reproducing", "lesionreading", "atlases", "classifying")
            for path in sorted((repository / "training_tools" / room).glob("*.py"))
            for hit in re.finditer(words, path.read_text(encoding="utf-8"))
        ]
        assert found == []
        assert {row[1] for row in tables.readers("pool2delayed").rows} == {GAP}
        assert tables.readers("us2mri").rows[1][1] == UNKNOWN

    def test_the_number_of_features_is_that_of_the_record(self) -> None:
        made = Choices("us2mri", "phantom", Path("x"), True, sizes_for("us2mri", True), 1)
        about = {"simulated": True, "patients": 24, "cases": 24}
        told = {p: here for p, _, here in differences(made, about, {"classified_features": [93], "classifiers": ["a"]})}
        assert told["Classification: models"].startswith("a; on 93 features")
        assert "near-copies are not" in told["Patients apart"]
        assert told["Registration of the pairs"].startswith("none: simulated")

    def told(self, task: str, facts: dict[str, object], **changes: object) -> dict[str, str]:
        sizes = replace(sizes_for(task, True), **changes)  # type: ignore[arg-type]
        made = Choices(task, "phantom", Path("x"), True, sizes, 1)
        about = {"simulated": True, "patients": 24, "cases": 24}
        return {point: here for point, _, here in differences(made, about, facts)}

    def test_networks_are_those_that_were_run(self) -> None:
        every = self.told("us2mri", {})["Networks"]
        assert every.startswith("those eight; 2D-TravelGAN and 3D-Pix2Pix stand for the others (our choice); ")
        assert self.told("us2mri", {"networks": ["2D-Pix2Pix"]})["Networks"] == (
            "of those eight 2D-Pix2Pix; none beyond the study"
        )
        some = self.told("us2mri", {"networks": ["3D-Pix2Pix", "2D-CUT"]})["Networks"].split("; ")
        chosen = "3D-Pix2Pix stands for one of the others (our choice)"
        assert some == ["of those eight none", chosen, "1 more beyond the study"]

    def test_features_are_those_that_were_made(self) -> None:
        few = {"engine": "pyradiomics by PyRadiomics 3.0.1", "features": 93}
        for task, point in (("us2mri", "Features"), ("pool2delayed", "Radiomic features")):
            assert self.told(task, few)[point].startswith("93 features: pyradiomics by PyRadiomics 3.0.1; not the")
        most = {"engine": "paper186 by MIRP", "features": 185}
        assert "area under the intensity" in self.told("us2mri", most)["Features"]

    def test_nothing_is_told_of_a_step_that_was_left_out(self) -> None:
        there = self.told("us2mri", {"left_out": ["classification", "preservation", "atlas", "lesions"]})
        silent = {point for point, here in there.items() if here == NOT_DONE}
        assert {"Features", "Preserved", "Classification: models", "Failure atlas", "Lesions"} <= silent
        assert {"Networks", "Patients", "Readers"}.isdisjoint(silent)

    def test_a_nested_study_says_that_its_images_come_from_unlike_translators(self) -> None:
        assert "by translators of a part" in self.told("us2mri", {}, scheme="nested")["Classification: images"]
        assert "by translators of a part" not in self.told("us2mri", {}, scheme="simple")["Classification: images"]


class TestGrowth:
    def test_a_line_and_its_exponent_are_found_again(self) -> None:
        found = growth.fit((10, 20, 40), (25.0, 45.0, 85.0))
        assert (found.fixed, found.each) == pytest.approx((5.0, 2.0))
        assert found.at(794) == pytest.approx(5 + 2 * 794)
        assert growth.fit((10, 20, 40), (100.0, 400.0, 1600.0)).exponent == pytest.approx(2.0)

    @pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux tells a process's memory there")
    def test_a_steps_memory_is_its_own_and_not_that_of_the_process_that_started_it(self) -> None:
        held = np.ones(700 * 2**20, np.uint8)
        small = subprocess.run(
            [sys.executable, "-c", "from training_tools.reproducing.growth import _own_peak; print(_own_peak())"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert 0 < int(small.stdout) < held.nbytes / 1024

    def test_the_page_says_what_is_not_measured(self, tmp_path: Path) -> None:
        points = [growth.Point("preservation", n, 10.0 * n, n, 2.0**30) for n in (3, 6, 12)]
        page = growth.write("us2mri", sizes_for("us2mri", True), points, tmp_path).read_text(encoding="utf-8")
        for told in growth.NOT_MEASURED.values():
            assert told in page

    def test_rows_extrapolate_to_the_published_patients(self) -> None:
        points = [growth.Point("preservation", n, 10.0 * n, n, 2.0**30) for n in (3, 6, 12)]
        (row,) = growth.rows("us2mri", points)
        assert row["extrapolated_patients"] == 794
        assert row["extrapolated_processor_hours"] == pytest.approx(7940 / 3600, abs=0.01)
        assert row["extrapolated_memory_gib"] == pytest.approx(1.0)
        assert growth.rows("pool2delayed", points)[0]["extrapolated_patients"] == 1464


@pytest.mark.soak
def test_a_simulated_study_says_so_in_every_heading_of_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bone scans from the simulator to the report, with the sweep; then begun again with a file gone."""
    monkeypatch.setattr(entries, "CONFIGS", NETWORKS)  # the module's study has tiny ones, of another task
    sizes = replace(
        sizes_for("pool2delayed", True), patients=6, seconds=0.1, only=("2D-Pix2Pix",), translator_seconds=0.5, folds=2,
        rhos=(0.0, 0.9), sweep_patients=6, draws=100, readers=2, read=2,
    )  # fmt: skip
    made = Choices("pool2delayed", "phantom", tmp_path / "out", True, sizes, 1)
    page = reproduce.reproduce(made).read_text(encoding="utf-8")
    results = [text for text in headings(page) if re.match(r"\d\. ", text)]
    assert results
    assert all(report.SIMULATED in text for text in results)
    tables_of = re.findall(r"<h3>(.*?)</h3>", page)
    assert all(report.SIMULATED in text for text in tables_of)
    assert "rho 0.9" in page
    assert "no patient" in page
    with (tmp_path / "out" / "sweep.csv").open(newline="") as stream:
        assert {row["data"] for row in csv.DictReader(stream)} == {report.SIMULATED}
    (tmp_path / "out" / "lesions" / "reading" / "lesions.csv").unlink()
    reproduce.reproduce(made)
    assert (tmp_path / "out" / "lesions" / "reading" / "lesions.csv").is_file()


@pytest.mark.soak
def test_a_study_killed_in_every_step_goes_on_and_does_nothing_twice(
    study: tuple[Path, Path], tmp_path: Path, repository: Path
) -> None:
    out, kept = tmp_path / "out", {}
    command = [sys.executable, "-m", "Testing.Core.reproductions", str(study[0]), str(out), str(tmp_path / "networks")]
    for step in ("benchmark", "translators", "preservation", "classification", "atlas"):
        process = subprocess.Popen(command, cwd=repository, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 300
        while not (out / "logs" / f"{step}.txt").exists() and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (out / "report.html").exists()
        kept.update({path: path.stat().st_mtime_ns for path in (out / "steps").iterdir()})
    subprocess.run(command, cwd=repository, check=True, capture_output=True)
    assert (out / "report.html").is_file()
    assert len(kept) >= 7
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
