"""What every face shows of a comparison: order, filters, cells, text to copy, points of the pictures, the record."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.radiomics import comparisonplots as plots
from imagetranslation.radiomics import comparisonview as view
from imagetranslation.radiomics.comparison import Comparison, Histogram, Row
from imagetranslation.radiomics.comparisonrecord import from_record, to_record
from imagetranslation.radiomics.comparisonview import Selection
from imagetranslation.radiomics.engine import Feature, RoiResult

ROLES = ("source", "synthetic", "reference")
VALUES = {
    "mean": ("Mean intensity", "Intensity statistics", (50.0, 120.0, 100.0)),
    "energy": ("Energy", "Intensity statistics", (1.5e9, 2e9, 2e9 + 1e4)),
    "contrast": ("Contrast", "Grey level co-occurrence", (8.0, 3.0, 4.0)),
    "busyness": ("Busyness", "Neighbourhood grey tone difference", (0.2, math.nan, 0.1)),
    "volume": ("Volume", "Morphology", (512.0, 512.0, 512.0)),
    "skew": ("Skewness", "Intensity statistics", (-0.5, -0.25, -0.5)),
}


def a_row(key: str, sd: float = math.nan) -> Row:
    name, family, values = VALUES[key]
    by_role = dict(zip(ROLES, values))
    difference = by_role["synthetic"] - by_role["reference"]
    flag = "not defined in the synthetic image" if math.isnan(difference) else "outside" if key == "mean" else ""
    unit = "intensity" if key == "mean" else ""
    return Row(key, name, "Q4LE", family, "", "original", unit, by_role, difference, 100 * difference / sd, flag, sd)


@pytest.fixture
def found() -> Comparison:
    """Six features with chosen values, no cohort."""
    rows = tuple(a_row(key) for key in VALUES)
    settings = {"normalisation": "none", "sha256": "5e" * 32}
    results = {
        role: RoiResult("pyradiomics", "3.0.1", "pyradiomics", {}, settings,
                        tuple(Feature(r.name, r.ibsi, r.family, r.key, r.values[role]) for r in rows),
                        warnings=("Few levels.",) if role == "source" else ())
        for role in ROLES
    }  # fmt: skip
    images = {role: {"name": f"the {role}", "modality": "MR", "mark": ""} for role in ROLES}
    images["synthetic"]["mark"] = "SYNTHETIC: model 1.0"
    shares = {role: np.array([0.25, 0.75]) for role in ROLES}
    roi = {"name": "gland", "voxels": 512, "volume_mm3": 4096.25, "sha256": "ab" * 32, "notes": ["Placed."]}
    return Comparison(roi, "reference", rows, Histogram(np.array([0.0, 1, 2]), shares), results, images, ("A note.",))


@pytest.fixture
def with_cohort(found: Comparison) -> Comparison:
    sds = {"mean": 10.0, "contrast": 2.0, "skew": 0.5, "volume": 9.0}
    return replace(found, rows=tuple(a_row(key, sds.get(key, math.nan)) for key in VALUES))


def keys(found: Comparison, **selection: object) -> list[str]:
    return [row.key for row in view.shown(found, Selection(**selection))]


def test_rows_stand_in_the_engines_order_until_a_column_is_chosen(found):
    assert keys(found) == list(VALUES)
    assert keys(found, sort="difference") == ["energy", "contrast", "volume", "skew", "mean", "busyness"]
    assert keys(found, sort="feature")[:2] == ["busyness", "contrast"]


def test_what_is_not_defined_stands_last_whichever_way_one_sorts(found):
    for column in ("synthetic", "difference"):
        assert keys(found, sort=column)[-1] == keys(found, sort=column, descending=True)[-1] == "busyness"
    assert set(keys(found, sort="flag", descending=True)[:2]) == {"mean", "busyness"}
    with pytest.raises(KeyError):
        keys(found, sort="colour")


def test_rows_are_filtered_by_class_flag_and_all_words_of_a_text(found):
    assert keys(found, family="Morphology") == ["volume"]
    assert keys(found, flag=view.FLAGGED) == ["mean", "busyness"]
    assert keys(found, flag=view.UNFLAGGED, family="Intensity statistics") == ["energy", "skew"]
    assert keys(found, flag="outside") == ["mean"]
    assert keys(found, text="INTENSITY stat ener") == ["energy"]
    assert keys(found, text="q4le") == list(VALUES)
    assert keys(found, text="intensity nothing") == []
    assert view.flags(found) == ["outside", "not defined in the synthetic image"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.567, "1235"), (123456.7, "123457"), (1.5e9, "1.500e+09"), (0.012345, "0.01235"),
     (-0.5, "-0.5000"), (1.2e-7, "1.200e-07"), (math.nan, "–"), (math.inf, "–")],
)  # fmt: skip
def test_a_number_shows_four_digits_that_matter(value, text):
    assert view.number_text(value) == text


def test_a_row_shows_digits_enough_to_see_its_difference(found):
    close = a_row("mean")
    close = replace(close, values={"source": 1.0, "synthetic": 100.01, "reference": 100.0}, difference=0.01)
    assert view.cells(found, close)[1:5] == ["1.00000", "100.010", "100.000", "0.01000"]


def test_the_table_has_a_cell_for_each_heading_and_the_cohorts_only_where_there_is_one(found, with_cohort):
    for one, there in ((found, False), (with_cohort, True)):
        headings = [column.title for column in view.columns(one)]
        assert ("% of cohort SD" in headings) == there
        assert all(len(view.cells(one, row)) == len(headings) for row in one.rows)
    assert view.cells(with_cohort, with_cohort.rows[0])[-3:-1] == ["200", "outside"]
    assert view.cells(with_cohort, with_cohort.rows[1])[-3] == "–"


def test_copied_text_says_which_image_is_synthetic_and_keeps_every_digit(found):
    first, headings, *lines = view.clipboard_text(found, view.shown(found, Selection(text="energy"))).splitlines()
    assert "SYNTHETIC: model 1.0" in first
    assert headings.split("\t")[1:4] == list(ROLES)
    assert len(lines) == 1
    assert float(lines[0].split("\t")[3]) == 2e9 + 1e4


def test_csv_holds_the_rows_that_are_shown(found):
    rows = list(csv.DictReader(io.StringIO(view.csv_text(found, view.shown(found, Selection(flag=view.FLAGGED))))))
    assert [row["feature"] for row in rows] == ["mean", "busyness"]
    assert rows[1]["synthetic"] == rows[1]["difference"] == ""


def test_sentences_name_region_engine_and_warnings(found):
    assert "512 voxels" in view.status_text(found)
    assert "pyradiomics 3.0.1 in this process" in view.status_text(found)
    assert view.notes(found) == ["Placed.", "A note.", "source: Few levels."]


def test_histograms_are_outlines_of_steps_in_percent(found):
    curves = plots.histogram_curves(found)
    assert curves.x.tolist() == [0, 0, 1, 1, 2, 2]
    assert curves.y["source"].tolist() == [0, 25, 25, 75, 75, 0]


def test_bland_altman_divides_each_difference_by_the_features_size(found):
    made = plots.bland_altman(found, found.rows)
    assert made.keys == ("mean", "energy", "contrast", "skew")
    assert made.y[0] == pytest.approx(100 * 20 / 110)
    assert made.y[3] == pytest.approx(100 * 0.25 / 0.375)
    assert made.bias == pytest.approx(made.y.mean())
    assert made.high - made.bias == pytest.approx(1.96 * made.y.std(ddof=1))
    assert made.left_out == ("Busyness", "Volume")
    assert "% of the mean magnitude" in made.scale


def test_bland_altman_is_in_sds_where_a_cohort_is_loaded(with_cohort):
    made = plots.bland_altman(with_cohort, with_cohort.rows)
    assert dict(zip(made.keys, made.y)) == pytest.approx({"mean": 2.0, "contrast": -0.5, "skew": 0.5})
    assert "SDs of the cohort" in made.scale
    one = plots.bland_altman(with_cohort, with_cohort.rows[:1])
    assert (one.bias, math.isnan(one.low)) == (2.0, True)
    assert len(plots.bland_altman(with_cohort, []).x) == 0


def test_the_radars_ring_is_the_reference_and_values_beyond_the_edge_are_marked(found, with_cohort):
    made = plots.radar(found, found.rows)
    assert made.names == ("Mean intensity", "Energy", "Contrast", "Skewness")
    assert made.radii["reference"].tolist() == [1, 1, 1, 1]
    assert made.radii["synthetic"] == pytest.approx([1.2, 1 - 1e4 / (2e9 + 1e4), 0.75, 1.5])
    by_sd = plots.radar(with_cohort, with_cohort.rows)
    assert by_sd.radii["synthetic"] == pytest.approx([2.0, 0.75, 1.25])
    assert by_sd.radii["source"] == pytest.approx([0.0, 2.0, 1.0])
    assert by_sd.clipped["source"].tolist() == [True, False, False]
    assert by_sd.points["source"][1] == pytest.approx([np.sin(2 * np.pi / 3), np.cos(2 * np.pi / 3)])
    with pytest.raises(ValueError, match="at least 3"):
        plots.radar(found, found.rows[:2])


def test_a_radar_without_a_choice_takes_the_classes_in_turn_and_no_shape(found):
    assert [row.key for row in plots.radar_choice(found.rows)] == ["mean", "contrast", "busyness", "energy", "skew"]


def test_a_comparison_comes_back_from_its_record_to_the_bit(with_cohort):
    text = json.dumps(to_record(with_cohort), allow_nan=False)
    again = from_record(json.loads(text))
    assert json.dumps(to_record(again)) == text
    assert view.clipboard_text(again, again.rows) == view.clipboard_text(with_cohort, with_cohort.rows)
    for broken in ({}, [], None, {"format": 2}, {**json.loads(text), "rows": [{}]}, {**json.loads(text), "images": {}}):
        with pytest.raises(InputError):
            from_record(broken)
