"""What a page may send, made safe; and the pictures made of what a file may be called."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetranslation.browser import pagevalues, plots
from imagetranslation.errors import InputError
from imagetranslation.radiomics.comparison import Comparison, Histogram, Row
from imagetranslation.radiomics.engine import RoiResult
from imagetranslation.radiomics.roi import Grid, Roi

from .conftest import a_lopsided_volume

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=True), st.text(), st.binary(),
    st.lists(st.integers()), st.dictionaries(st.text(), st.integers()),
)  # fmt: skip
NASTY = "<script>alert(1)</script> & \"x\" 'y' \x00\n]]>"


@settings(max_examples=200, deadline=None)
@given(value=ANYTHING)
def test_whatever_the_page_sends_becomes_a_value_in_range_or_none(value):
    source = a_lopsided_volume()
    smallest, _, largest = pagevalues.brush_sizes(source)
    assert smallest <= pagevalues.brush_of(value, source) <= largest
    made = pagevalues.settings_of(value, value)
    assert made.bin_number is not None
    assert pagevalues.BINS[0] <= made.bin_number <= pagevalues.BINS[1]
    assert len(pagevalues.name_of(value)) <= pagevalues.MOST_LETTERS
    assert pagevalues.name_of(value).isprintable()
    assert pagevalues.colour_of(value) in ("", str(value).lower())
    assert pagevalues.stem_of(str(value))


@settings(max_examples=200, deadline=None)
@given(name=ANYTHING)
def test_a_files_name_holds_no_folder_and_is_not_hidden(name):
    _, plain = pagevalues.file_of(name, b"x")
    assert plain
    assert "/" not in plain
    assert "\\" not in plain
    assert not plain.startswith(".")
    assert plain.isascii()


@pytest.mark.parametrize("content", [b"", None, "text", [1, 2], 5])
def test_a_file_without_bytes_is_refused(content):
    with pytest.raises(InputError, match="empty"):
        pagevalues.file_of("a.nrrd", content)


def test_a_file_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(pagevalues, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="larger"):
        pagevalues.file_of("a.nrrd", b"x" * 11)


@pytest.mark.parametrize(("colour", "wanted"), [("#FF00aa", "#ff00aa"), ("red", ""), ("#12345", ""), ("#1234567", "")])
def test_only_six_digits_are_a_colour(colour, wanted):
    assert pagevalues.colour_of(colour) == wanted


def test_the_names_of_a_file_become_names_for_the_page():
    grid = Grid.of(a_lopsided_volume())
    rois = [Roi(np.ones((1, 1, 1), bool), (0, 0, 0), grid, 1, name) for name in ("a\nb\x00", "", "x" * 500)]
    assert [roi.name for roi in pagevalues.named(rois)] == ["a b", "Region 2", "x" * 60]


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-1, 1, [-1, -0.5, 0, 0.5, 1]), (13, 210, [50, 100, 150, 200])],
)
def test_ticks_are_round_numbers(low, high, wanted):
    assert plots.ticks(low, high) == pytest.approx(wanted)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (math.nan, 1.0), (0.0, math.inf)])
def test_ticks_of_no_range_do_no_harm(low, high):
    assert len(plots.ticks(low, high)) <= 1


def a_comparison(values: list[tuple[float, float]], name: str = "feature") -> Comparison:
    """Two images; (source, synthetic) of each feature."""
    rows = tuple(
        Row(f"key{n}", f"{name} {n}", "", f"family {n % 3}", "", "original", "", {"source": a, "synthetic": b}, b - a,
            math.nan, "")
        for n, (a, b) in enumerate(values)
    )  # fmt: skip
    result = RoiResult("pyradiomics", "3.0.1", "pyradiomics", {}, {"normalisation": "none", "sha256": "ab"}, ())
    shares = {"source": np.full(64, 1 / 64), "synthetic": np.eye(64)[3]}
    results = {"source": result, "synthetic": result}
    return Comparison({}, "source", rows, Histogram(np.linspace(0, 9, 65), shares), results, {}, ())


USUAL = [(1.0, 1.1), (20.0, 30.0), (5.0, 4.0), (-3.0, -2.0), (1e6, 2e6), (1e-4, 3e-4)]


@pytest.mark.parametrize("kind", plots.PICTURES)
def test_every_picture_is_xml_that_holds_no_script_whatever_a_feature_is_called(kind):
    found = a_comparison(USUAL, NASTY.replace("\x00", "").replace("\n", " "))
    svg, _ = plots.picture(found, kind, found.rows)
    root = ET.fromstring(svg)
    kinds = {element.tag.split("}")[1] for element in root.iter()}
    assert kinds <= {"svg", "title", "g", "line", "text", "tspan", "polygon", "polyline", "circle"}
    assert plots.data_address(svg).startswith("data:image/svg+xml;base64,")


def test_the_histogram_reaches_as_high_as_the_fullest_bin():
    svg, _ = plots.picture(a_comparison(USUAL), plots.HISTOGRAM, [])
    line = [e for e in ET.fromstring(svg).iter() if e.tag.endswith("polyline") and len(e.attrib["points"]) > 100][1]
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    bottom, top = plots.HEIGHT - plots.BOTTOM, plots.TOP
    # The axis ends 6 % above the fullest bin.
    assert min(heights) == pytest.approx(bottom - (bottom - top) / 1.06, abs=0.2)
    assert max(heights) == pytest.approx(bottom, abs=0.2)


def test_bland_altman_has_a_point_for_each_feature_at_its_height():
    found = a_comparison(USUAL)
    svg, sentence = plots.picture(found, plots.BLAND_ALTMAN, found.rows)
    circles = [element for element in ET.fromstring(svg).iter() if element.tag.endswith("circle")]
    assert len(circles) == len(USUAL)
    shares = [100 * (b - a) / ((abs(a) + abs(b)) / 2) for a, b in USUAL]
    heights = [-float(circle.attrib["cy"]) for circle in circles]
    assert np.argsort(heights).tolist() == np.argsort(shares).tolist()
    assert "synthetic minus source" in sentence


@pytest.mark.parametrize("values", [[], [(math.nan, 1.0)] * 4, [(0.0, 0.0)] * 4])
def test_pictures_of_too_few_features_say_so(values):
    found = a_comparison(values)
    for kind in (plots.BLAND_ALTMAN, plots.RADAR):
        svg, sentence = plots.picture(found, kind, found.rows)
        assert svg == ""
        assert sentence.endswith(".")
