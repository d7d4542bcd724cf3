"""The radiomics panel in a real Chromium, on a real pair: drawn with the mouse, compared, sorted, saved, broken."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.radiomics.comparison import compare
from imagetranslation.radiomics.comparisonview import csv_text
from imagetranslation.radiomics.engine import make_engine
from imagetranslation.radiomics.regionfiles import write_regions
from imagetranslation.radiomics.roi import Grid, Roi
from imagetranslation.radiomics.segmentations import ALL, read_rois
from imagetranslation.radiomics.settings import Settings

from .conftest import a_server
from .radiomics_reader import Reader
from .serving import a_stand_in, the_mr_on_the_ultrasound_grid, the_ultrasound
from .test_page import amber

pytestmark = pytest.mark.browser
pytest.importorskip("radiomics", reason="PyRadiomics is not installed")


@pytest.fixture(scope="module")
def the_reader(drawing, prostate_pairs, repository, browser, tmp_path_factory) -> Iterator[Reader]:
    with a_server(repository, str(prostate_pairs)) as address:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector(".it-view img", timeout=60000)
        yield Reader(page, tmp_path_factory.mktemp("screenshots"))
        context.close()


@pytest.fixture
def a_reader(the_reader) -> Reader:
    """At case16 with the panel open, nothing drawn, no filter."""
    page = the_reader.page
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    if the_reader.state("case_name") != "case16":
        page.click(".it-case:has-text('case16')")
        the_reader.until(lambda: the_reader.state("case_name") == "case16", "case16 is shown")
    page.click("#it-tab-radiomics")
    the_reader.until(lambda: "starting" not in the_reader.state("rx_refusal"), "the engine is there")
    for name, value in (("rx_text", ""), ("rx_family", ""), ("rx_flag", ""), ("rx_picture", "histogram"),
                        ("rx_live", True), ("rx_bins", 32), ("rx_features", "pyradiomics"), ("rx_large", False),
                        ("rx_sort", ""), ("rx_descending", False), ("rx_normalise", False)):  # fmt: skip
        the_reader.set(name, value)
    regions = page.locator(".it-region")
    count = regions.count()
    page.click("#it-region-add")
    the_reader.until(lambda: regions.count() == count + 1 and the_reader.voxels() == 0, "an empty region")
    for _ in range(count):
        before = regions.count()
        page.locator(".it-region:not(.it-chosen) [title^='Remove']").first.click()
        the_reader.until(lambda before=before: regions.count() == before - 1, "one less")
    page.keyboard.press("w")
    return the_reader


@pytest.fixture
def a_drawn(a_reader) -> Reader:
    """With a region of some hundred voxels, compared."""
    a_reader.page.keyboard.press("o")
    a_reader.draws((-60, -50), (60, -50), (60, 60), (-60, 60))
    a_reader.compares()
    return a_reader


def the_images(pairs: Path) -> dict:
    return {
        "source": the_ultrasound(pairs, "case16"), "synthetic": a_stand_in(pairs, "case16"),
        "reference": the_mr_on_the_ultrasound_grid(pairs, "case16"),
    }  # fmt: skip


def saved(reader: Reader, pairs: Path, folder: Path, ending: str = ".seg.nrrd") -> list[Roi]:
    """The drawn regions as the page saves them."""
    reader.page.click("#it-region-save")
    name, content = reader.downloads(lambda: reader.page.click(f"[data-it-file='{ending}']"))
    assert name == f"case16_regions{ending}"
    (folder / name).write_bytes(content)
    return read_rois(folder / name, the_ultrasound(pairs, "case16"), ALL)


def test_an_empty_region_cannot_be_compared_and_the_page_says_why(a_reader):
    assert a_reader.page.is_disabled("#it-compare")
    assert "Nothing is drawn" in a_reader.page.inner_text("#it-refusal")
    a_reader.draws((0, 0), (3, 0))
    a_reader.until(lambda: "at least 64 are needed" in a_reader.state("rx_refusal"), "too few voxels are told")
    assert a_reader.page.is_disabled("#it-compare")


def test_a_drawn_region_is_compared_and_the_csv_holds_the_librarys_values_to_the_bit(a_drawn, prostate_pairs, tmp_path):
    a_drawn.screenshot("radiomics")
    assert len(a_drawn.column("source")) == 107
    assert a_drawn.plot().count("<polyline") >= 6
    name, content = a_drawn.downloads(lambda: a_drawn.page.click("#it-rx-csv"))
    assert name.startswith("case16_Region")
    (roi,) = saved(a_drawn, prostate_pairs, tmp_path)
    here = compare(the_images(prostate_pairs), roi, Settings(), make_engine("pyradiomics"))
    assert content.decode() == csv_text(here, here.rows)
    (again,) = saved(a_drawn, prostate_pairs, tmp_path, ".nii.gz")
    assert again.sha256 == roi.sha256


def test_the_synthetic_view_keeps_its_mark_while_something_is_drawn(a_drawn):
    def marks() -> list[bool]:
        shots = [a_drawn.page.locator(f"#it-view-{n}").screenshot() for n in range(3)]
        from PIL import Image

        return [amber(np.asarray(Image.open(io.BytesIO(each)).convert("RGB")).astype(int)) > 150 for each in shots]

    a_drawn.until(lambda: marks() == [False, True, False], "the mark is in the synthetic view alone")
    assert "synthetic" in a_drawn.page.inner_text("#it-rx-table thead")


def test_another_stroke_is_compared_again_by_itself_and_undo_gives_the_first_values_back(a_drawn):
    first, hash_before = a_drawn.column("synthetic"), a_drawn.page.inner_text("#it-made")
    windows = [a_drawn.state(f"window_{image}") for image in ("source", "synthetic")]
    a_drawn.page.keyboard.press("w")
    a_drawn.draws((-60, 85), (60, 85), view=1)
    a_drawn.until(lambda: a_drawn.at_rest() and a_drawn.page.inner_text("#it-made") != hash_before, "compared again")
    assert a_drawn.column("synthetic") != first
    assert [a_drawn.state(f"window_{image}") for image in ("source", "synthetic")] == windows
    a_drawn.page.keyboard.press("Control+z")
    a_drawn.until(lambda: a_drawn.at_rest() and a_drawn.page.inner_text("#it-made") == hash_before, "and back")
    assert a_drawn.column("synthetic") == first


def test_a_name_that_is_being_typed_outlives_a_change_of_the_list(a_drawn):
    name = a_drawn.page.locator(".it-region.it-chosen .it-name")
    name.fill("Index lesion")
    changed = [{**each, "volume": "as another stroke says"} for each in a_drawn.state("rx_segments")]
    a_drawn.set("rx_segments", changed)
    a_drawn.page.wait_for_selector("text=as another stroke says")
    assert name.input_value() == "Index lesion"
    name.press("Enter")
    a_drawn.until(lambda: [each["name"] for each in a_drawn.state("rx_segments")] == ["Index lesion"], "renamed")
    name.fill("  ")
    name.press("Enter")
    assert name.input_value() == "Index lesion", "a name cannot be empty"


def test_with_a_tool_in_hand_the_wheel_still_leafs_and_with_shift_changes_the_brush(a_reader):
    page = a_reader.page
    box = page.locator("#it-view-0").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    number, brush = a_reader.state("slice_shown"), a_reader.state("rx_brush")
    page.mouse.wheel(0, -100)
    a_reader.until(lambda: a_reader.state("slice_shown") == number + 1, "the next slice")
    page.keyboard.down("Shift")
    page.mouse.wheel(0, -100)
    a_reader.until(lambda: a_reader.state("rx_brush") > brush, "a larger brush")
    page.keyboard.up("Shift")
    page.keyboard.press("]")
    a_reader.until(lambda: a_reader.state("rx_brush") > 1.2 * brush, "larger still")
    for _ in range(30):
        page.keyboard.press("[")
    a_reader.until(lambda: a_reader.state("rx_brush") == a_reader.state("rx_brush_range")[0], "no smaller than a voxel")
    a_reader.set("rx_brush", brush)


def test_without_following_the_old_table_is_shown_as_old(a_drawn):
    a_drawn.set("rx_live", False)
    a_drawn.page.keyboard.press("e")
    a_drawn.draws((-40, 0), (40, 0))
    a_drawn.until(lambda: a_drawn.state("rx_stale"), "the table is of another region")
    assert "it-stale" in a_drawn.page.get_attribute("#it-results", "class")
    a_drawn.page.keyboard.press("Enter")
    a_drawn.until(a_drawn.at_rest, "compared with Enter")


def test_the_table_is_sorted_both_ways_and_filtered_by_class_and_words(a_drawn):
    def numbers() -> list[float]:
        return [float(text) for text in a_drawn.column("difference") if text != "–"]

    head = a_drawn.page.locator("th[data-it-column='difference']")
    head.click()
    a_drawn.until(lambda: numbers() == sorted(numbers()), "ascending")
    head.click()
    a_drawn.until(lambda: numbers() == sorted(numbers(), reverse=True), "descending")
    assert head.get_attribute("aria-sort") == "descending"
    a_drawn.page.fill("#it-rx-text", "entropy joint")
    a_drawn.until(lambda: a_drawn.column("feature") == ["Joint entropy (3D, averaged)"], "one feature has both words")
    a_drawn.page.fill("#it-rx-text", "no such feature")
    a_drawn.until(lambda: a_drawn.column("feature") == [], "none")
    assert "No feature passes" in a_drawn.page.inner_text("#it-rx-table")
    a_drawn.page.fill("#it-rx-text", "")
    a_drawn.set("rx_family", "Grey level size zone")
    a_drawn.until(lambda: set(a_drawn.column("family")) == {"Grey level size zone"}, "one class")
    _, content = a_drawn.downloads(lambda: a_drawn.page.click("#it-rx-csv"))
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert len(rows) == len(a_drawn.column("feature")) == 16
    assert {row["family"] for row in rows} == {"Grey level size zone"}


def test_the_pictures_take_the_features_shown_or_chosen(a_drawn):
    a_drawn.page.click("#it-picture-bland-altman")
    a_drawn.until(lambda: a_drawn.plot().count("<circle") > 80, "a point a feature")
    assert "say nothing of patients" in a_drawn.page.inner_text("#it-rx-scale")
    a_drawn.set("rx_family", "Grey level size zone")
    a_drawn.until(lambda: a_drawn.plot().count("<circle") == 16, "those of the class")
    for row in range(4):
        a_drawn.page.click(f"#it-rx-table tbody tr >> nth={row}")
    a_drawn.until(lambda: len(a_drawn.state("rx_marked")) == 4, "four are chosen")
    a_drawn.page.click("#it-picture-radar")
    a_drawn.until(lambda: a_drawn.plot().count("<circle") == 12, "four axes for each of three images")
    a_drawn.screenshot("radar")
    a_drawn.page.click("#it-rx-unmark")
    a_drawn.until(lambda: a_drawn.state("rx_marked") == [], "none is chosen")


def test_a_long_comparison_is_cancelled_and_the_page_goes_on(a_drawn):
    if a_drawn.state("rx_engines").get("ibsi"):
        pytest.skip("MIRP is not installed")
    a_drawn.set("rx_live", False)
    a_drawn.set("rx_features", "ibsi")
    a_drawn.until(lambda: a_drawn.state("rx_stale"), "another set is chosen")
    a_drawn.page.click("#it-compare")
    a_drawn.until(lambda: a_drawn.state("rx_running"), "it runs")
    slice_before = a_drawn.state("slice_shown")
    a_drawn.page.keyboard.press("ArrowUp")
    a_drawn.until(lambda: a_drawn.state("slice_shown") == slice_before + 1, "the page answers meanwhile")
    assert a_drawn.state("rx_running")
    a_drawn.page.click("#it-cancel")
    a_drawn.until(lambda: not a_drawn.state("rx_running"), "it was cancelled")
    assert a_drawn.page.inner_text("#it-rx-status") == "Cancelled."
    a_drawn.set("rx_features", "pyradiomics")
    a_drawn.until(lambda: not a_drawn.state("rx_stale"), "the table is of what is chosen again")
    a_drawn.compares()


def test_a_real_segmentation_is_loaded_named_saved_and_kept_while_another_case_is_read(
    a_reader, prostate_pairs, tmp_path
):
    labels = prostate_pairs / "us_labels" / "case16.nii.gz"
    a_reader.page.set_input_files("#it-region-file", labels)
    a_reader.until(lambda: len(a_reader.state("rx_segments")) >= 2, "the regions are there")
    (roi,) = read_rois(labels, the_ultrasound(prostate_pairs, "case16"), ALL, component=0)
    assert a_reader.voxels() == roi.voxels
    name = a_reader.page.locator(".it-region.it-chosen .it-name")
    name.fill("Prostate <b>")
    name.press("Enter")
    a_reader.until(lambda: "Prostate <b>" in [each["name"] for each in a_reader.state("rx_segments")], "renamed")
    assert saved(a_reader, prostate_pairs, tmp_path)[0].sha256 == roi.sha256
    assert saved(a_reader, prostate_pairs, tmp_path)[0].name == "Prostate <b>"
    a_reader.page.click(".it-case:has-text('case17')")
    a_reader.until(lambda: a_reader.state("case_name") == "case17" and a_reader.voxels() == 0, "nothing on case17")
    a_reader.page.click(".it-case:has-text('case16')")
    a_reader.until(lambda: a_reader.voxels() == roi.voxels, "it is there again")


def test_report_and_segmentation_are_offered_and_downloaded(a_drawn):
    if not a_drawn.state("rx_dicom_offered"):
        a_drawn.until(lambda: a_drawn.state("rx_dicom") != "", "what can be written is known")
    if "highdicom" in a_drawn.state("rx_dicom"):
        pytest.skip("highdicom is not installed")
    a_drawn.page.click("#it-rx-dicom")
    name, content = a_drawn.downloads(lambda: a_drawn.page.click("[data-it-file='dicom:prostate']"))
    assert name.endswith("_dicom.zip")
    listed = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert {"report.dcm", "segmentation.dcm"} <= set(listed)


def test_the_rows_are_copied_with_all_digits(a_drawn):
    a_drawn.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    a_drawn.set("rx_family", "Grey level size zone")
    a_drawn.until(lambda: len(a_drawn.column("feature")) == 16, "one class")
    a_drawn.page.click("#it-rx-clipboard")
    a_drawn.until(lambda: a_drawn.state("rx_status") == "Copied.", "copied")
    copied = a_drawn.page.evaluate("() => navigator.clipboard.readText()").splitlines()
    assert "SYNTHETIC" in copied[0]
    assert len(copied) == 18


@pytest.mark.parametrize(
    ("name", "content"),
    [("empty.nrrd", b""), ("words.nrrd", b"NRRD0004\nwords"), ("../../../etc/cron.d/x.nii.gz", b"\x1f\x8b\x00junk"),
     ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(99)), (".seg.nrrd", b"x" * 5000)],
)  # fmt: skip
def test_a_broken_region_file_is_told_and_nothing_changes(a_reader, name, content):
    a_reader.draws((0, 0), (30, 0))
    before = a_reader.state("rx_segments")
    encoded = base64.b64encode(content).decode()
    a_reader.page.evaluate(
        """([name, text]) => window.trame.trigger("radiomics_read",
            ["regions", name, Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer])""",
        [name, encoded],
    )
    a_reader.told("")
    assert a_reader.state("error") != ""
    assert "Traceback" not in a_reader.state("error")
    assert a_reader.state("rx_segments") == before


def test_a_segmentation_of_another_image_and_a_wrong_cohort_are_refused(a_reader, prostate_pairs, tmp_path):
    grid = dataclasses.replace(Grid.of(the_ultrasound(prostate_pairs, "case16")), origin=(0.1, 0.2, 0.3))
    elsewhere = write_regions(tmp_path / "a.nii.gz", [Roi(np.ones((9, 9, 9), bool), (5, 5, 5), grid)], ["#112233"])
    a_reader.page.set_input_files("#it-region-file", elsewhere)
    a_reader.told("grid")
    (tmp_path / "features.csv").write_text("a,b\n1,2\n")
    a_reader.page.set_input_files("#it-cohort-file", tmp_path / "features.csv")
    a_reader.told("features.csv")
    assert a_reader.state("rx_cohort") == ""


def test_with_a_cohort_differences_are_in_percent_of_its_sd_and_far_ones_are_flagged(a_drawn, tmp_path):
    found = {row["feature"]: row for row in csv.DictReader(io.StringIO(csv_of(a_drawn)))}
    rows = ["patient,roi,relation,side,feature,value"]
    for key, row in found.items():
        if row["reference"] and row["family"] != "Morphology":
            middle, spread = float(row["reference"]), abs(float(row["reference"])) / 50 + 1e-6
            rows += [f"p{n},gland,synthetic-target,b,{key},{middle + (n - 3) * spread!r}" for n in range(7)]
    (tmp_path / "features.csv").write_text("\n".join(rows) + "\n")
    a_drawn.page.set_input_files("#it-cohort-file", tmp_path / "features.csv")
    a_drawn.until(lambda: "percent" in [each["id"] for each in a_drawn.state("rx_columns")], "compared with the cohort")
    a_drawn.until(a_drawn.at_rest, "it is shown")
    assert a_drawn.page.inner_text("#it-cohort") == "features.csv"
    row = next(each for each in csv.DictReader(io.StringIO(csv_of(a_drawn))) if each["flag"])
    spread = abs(float(row["reference"])) / 50 + 1e-6
    sd = spread * np.std(range(7), ddof=1)
    assert float(row["percent_of_cohort_sd"]) == pytest.approx(100 * float(row["difference"]) / sd, rel=1e-6)
    a_drawn.set("rx_flag", "flagged")
    a_drawn.until(lambda: all(a_drawn.column("flag")) and 0 < len(a_drawn.column("flag")) < 107, "only flagged rows")
    a_drawn.screenshot("cohort")
    a_drawn.page.click("[title='Without the cohort']")
    a_drawn.until(lambda: "percent" not in [each["id"] for each in a_drawn.state("rx_columns")], "without it again")


def csv_of(reader: Reader) -> str:
    return reader.downloads(lambda: reader.page.click("#it-rx-csv"))[1].decode()


def test_a_reference_on_another_grid_is_left_out_with_a_sentence(a_reader):
    a_reader.page.click(".it-case:has-text('apart')")
    a_reader.until(lambda: a_reader.state("case_name") == "apart", "the case is shown")
    a_reader.until(lambda: a_reader.voxels() == 0, "nothing is drawn on it")
    assert "left out" in a_reader.page.inner_text("#it-left-out")
    a_reader.page.keyboard.press("o")
    a_reader.draws((-60, -50), (60, -50), (60, 60), (-60, 60))
    a_reader.compares()
    assert "reference" not in [each["id"] for each in a_reader.state("rx_columns")]
    assert "two modalities" in " ".join(a_reader.state("rx_notes"))


def test_without_an_engine_the_page_says_what_to_install(prostate_pairs, repository, browser, tmp_path, monkeypatch):
    (tmp_path / "radiomics").mkdir()
    (tmp_path / "radiomics" / "__init__.py").write_text("raise ImportError('No module named radiomics')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with a_server(repository, str(prostate_pairs)) as address:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        page.wait_for_selector(".it-view img", timeout=60000)
        reader = Reader(page, tmp_path)
        page.keyboard.press("m")
        reader.until(lambda: "starting" not in reader.state("rx_refusal"), "the engines are known")
        reader.set("rx_features", "pyradiomics")
        reader.until(lambda: "install" in reader.state("rx_refusal").lower(), "what to install is told")
        assert "PyRadiomics" in page.inner_text("#it-refusal")
        reader.drag((0, 0), (40, 0))
        reader.until(lambda: reader.voxels() > 0, "drawing works all the same")
        assert page.is_disabled("#it-compare")
        page.close()


HOSTILE = [None, "x", [], {}, -1, 1e308, "NaN", True, "<img src=x onerror=alert(1)>", [[1]], {"a": [None]}]


def test_values_of_any_kind_from_the_page_do_no_harm(a_drawn):
    names = ["rx_brush", "rx_bins", "rx_tool", "rx_ball", "rx_through", "rx_features", "rx_family", "rx_flag",
             "rx_text", "rx_sort", "rx_descending", "rx_picture", "rx_normalise", "rx_brush_range"]  # fmt: skip
    for name in names:
        usual = a_drawn.state(name)
        for value in [*HOSTILE, usual]:
            # As no page of ours would: past the client's own copy of the state.
            a_drawn.page.evaluate(
                "([name, value]) => window.trame.client.getConnection().getSession()"
                ".call('trame.state.update', [[{ key: name, value }]]).catch(() => 0)",
                [name, value],
            )
    for value in HOSTILE:
        a_drawn.send("viewer_key", value)
        a_drawn.send("radiomics_file", value)
        a_drawn.send("radiomics_read", value, value, value)
    a_drawn.set("error_shown", False)
    a_drawn.set("rx_tool", "brush")
    a_drawn.draws((-60, 85), (60, 85))
    a_drawn.compares()
    assert len(a_drawn.column("feature")) == 107


def test_the_panel_closed_the_pointer_changes_brightness_and_the_regions_are_hidden(a_drawn):
    def pixels() -> np.ndarray:
        from PIL import Image

        shot = Image.open(io.BytesIO(a_drawn.page.locator("#it-view-0").screenshot()))
        return np.asarray(shot.convert("RGB")).astype(int)

    def coloured() -> int:
        picture = pixels()[50:-30]
        return int((picture.max(axis=2) - picture.min(axis=2) > 40).sum())

    a_drawn.until(lambda: coloured() > 100, "the region is drawn over the source")
    a_drawn.page.keyboard.press("m")
    a_drawn.until(lambda: coloured() < 100, "the region is hidden")
    before, voxels = a_drawn.state("window_source"), a_drawn.voxels()
    a_drawn.drag((0, 0), (60, 40))
    a_drawn.until(lambda: a_drawn.state("window_source") != before, "brightness changed")
    assert a_drawn.voxels() == voxels
    a_drawn.page.keyboard.press("r")
