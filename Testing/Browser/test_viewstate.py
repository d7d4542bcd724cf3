"""What each view shows in each compare mode, and that anything synthetic is named as such."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from imagetranslation.browser.cases import Case, LoadedCase, matching, safe_name
from imagetranslation.browser.viewstate import (
    MODES,
    Choice,
    Pane,
    details,
    difference_legend,
    difference_partner,
    label,
    pane_text,
    panes,
    partners,
    uncertainty_legend,
)
from imagetranslation.errors import InputError
from imagetranslation.provenance import Provenance
from imagetranslation.volume import Volume

RECORD = Provenance(
    model="us2mri-pix2pix-small", version="1.0.0", weights_sha256="ab" * 32, task="us2mri", modality="MR",
    source="case17", source_sha256="cd" * 32, created="2026-01-01T00:00:00Z", software="imagetranslation 0.1.0",
    notes=("Spacing lies outside the training range.",),
)  # fmt: skip
MARK = "SYNTHETIC: us2mri-pix2pix-small 1.0.0"


def a_volume(modality="US", **changes) -> Volume:
    return Volume(np.zeros((3, 4, 5)), modality=modality, **changes)


def a_case(*, reference: Volume | None = None, source: Volume | None = None) -> LoadedCase:
    return Case("case17", source or a_volume(), a_volume("MR", provenance=RECORD), reference).load()


@pytest.fixture
def a_pair() -> LoadedCase:
    return a_case()


@pytest.fixture
def a_triple() -> LoadedCase:
    return a_case(reference=a_volume("MR", notes=("Registered.",)))


def test_source_and_synthetic_stand_side_by_side_and_the_reference_third(a_pair, a_triple):
    assert panes(Choice(), a_pair) == (Pane("source"), Pane("synthetic"))
    assert panes(Choice(), a_triple) == (Pane("source"), Pane("synthetic"), Pane("reference"))


def test_swapping_exchanges_the_first_two(a_triple):
    assert [p.background for p in panes(Choice(swapped=True), a_triple)] == ["synthetic", "source", "reference"]


def test_a_fade_lays_the_synthetic_over_its_partner(a_triple):
    assert panes(Choice("fade", "reference", 0.3), a_triple) == (Pane("reference", "synthetic", 0.3),)


def test_a_partner_the_case_lacks_becomes_the_source(a_pair):
    assert partners(a_pair) == ("source",)
    assert panes(Choice("fade", "reference", 0.3), a_pair)[0].background == "source"


def test_the_difference_stands_beside_what_was_subtracted(a_triple):
    assert [p.background for p in panes(Choice("difference"), a_triple)] == ["synthetic", "reference", "difference"]


def test_no_difference_of_ultrasound_and_mr_but_one_of_mr_and_mr(a_pair):
    partner, refusal = difference_partner(a_pair)
    assert partner == "source"
    assert "US and MR" in refusal
    assert "reference" in refusal
    assert panes(Choice("difference"), a_pair) == panes(Choice(), a_pair)
    assert difference_partner(a_case(source=a_volume("MR"))) == ("source", None)


def test_no_difference_to_a_source_of_unknown_kind_but_one_to_a_reference_of_unknown_kind():
    assert "not known" in difference_partner(a_case(source=a_volume("")))[1]
    assert difference_partner(a_case(source=a_volume(""), reference=a_volume("")))[1] is None


def test_a_file_without_modality_takes_it_from_the_record():
    assert Case("x", a_volume(), a_volume("", provenance=RECORD)).load().synthetic.modality == "MR"


def test_no_difference_to_a_reference_on_another_grid():
    assert "different grids" in difference_partner(a_case(reference=a_volume("MR", spacing=(2.0, 1.0, 1.0))))[1]


@pytest.mark.parametrize("mode", MODES)
def test_every_view_with_anything_synthetic_says_so_and_no_other_does(mode, a_pair, a_triple):
    for case, partner, swapped, opacity in itertools.product(
        (a_pair, a_triple), ("source", "reference"), (False, True), (0.0, 0.01, 0.5, 1.0)
    ):
        for pane in panes(Choice(mode, partner, opacity, swapped), case):
            shown = {pane.background} | ({pane.foreground} if pane.foreground and pane.opacity > 0 else set())
            expected = bool(shown & {"synthetic", "checkerboard", "difference"})
            assert (MARK in pane_text(pane, case)) == expected


def test_real_images_are_named_with_their_modality(a_triple):
    assert label("source", a_triple) == "source · US"
    assert label("reference", a_triple) == "reference (real) · MR"
    assert label("source", a_case(source=a_volume(""))) == "source"


def test_the_difference_says_what_was_subtracted_and_how_it_was_scaled(a_triple):
    assert label("difference", a_triple).splitlines() == [MARK, "difference: synthetic minus reference"]
    assert "default window" in difference_legend(a_triple)


def test_details_name_the_model_and_shorten_the_checksum(a_triple):
    rows = {row["name"]: row["value"] for row in details(a_triple)}
    assert rows["Model"] == RECORD.model
    assert rows["Weights"] == RECORD.weights_sha256[:12]
    assert rows["Created"] == "2026-01-01 00:00:00 UTC"


def test_notes_of_source_translation_and_reference_are_gathered_once():
    note = RECORD.notes[0]
    case = a_case(source=a_volume(notes=("Frames.", note)), reference=a_volume("MR", notes=("Registered.",)))
    assert case.notes == ("Frames.", note, "Registered.")


def test_volumes_are_read_when_the_case_is_loaded_and_not_before():
    read = []

    def reader():
        read.append(1)
        return a_volume()

    case = Case("case17", reader, a_volume("MR", provenance=RECORD))
    assert not read
    case.load()
    assert read == [1]


def test_a_synthetic_file_without_a_record_is_still_marked():
    case = Case("x", a_volume(), a_volume("MR")).load()
    assert label("synthetic", case).startswith("SYNTHETIC: unknown model")
    assert any("no record" in note for note in case.notes)


def test_an_image_off_the_grid_and_a_synthetic_image_called_real_are_refused():
    with pytest.raises(InputError, match="not on the grid"):
        Case("x", a_volume(), a_volume("MR", spacing=(2.0, 1.0, 1.0), provenance=RECORD)).load()
    synthetic = a_volume("MR", provenance=RECORD)
    with pytest.raises(InputError, match="source is itself a synthetic"):
        Case("x", synthetic, synthetic).load()
    with pytest.raises(InputError, match="reference is itself a synthetic"):
        Case("x", a_volume(), synthetic, synthetic).load()


@pytest.mark.parametrize(
    ("given", "shown"),
    [("/data/Miller John/us.nrrd", "us.nrrd"), (r"C:\Miller\us.nrrd", "us.nrrd"), ("case 17", "case 17"), ("/", "/")],
)
def test_folders_are_not_shown(given, shown):
    assert safe_name(given) == shown


def test_searching_wants_every_word_in_any_case():
    names = ["Prostate 01", "prostate 02", "bone 01"]
    assert matching(names, "PROSTATE 0") == [0, 1]
    assert matching(names, " 01 bone ") == [2]
    assert matching(names, "") == [0, 1, 2]
    assert matching(names, "xyz") == []


def a_map(**quantity) -> Volume:
    about = {"name": "standard deviation", "unit": "grey values", "calibrated": True, "patients": 18, **quantity}
    return a_volume("MR", provenance=replace(RECORD, quantity=about), name="map")


def a_case_with_map(deviation: Volume) -> LoadedCase:
    return Case("case17", a_volume(), a_volume("MR", provenance=RECORD), None, deviation).load()


def test_the_uncertainty_lies_over_the_synthetic_image_beside_source_and_synthetic():
    case = a_case_with_map(a_map())
    last = Pane("synthetic", "uncertainty", 0.4)
    assert panes(Choice("uncertainty", opacity=0.4), case) == (Pane("source"), Pane("synthetic"), last)
    assert pane_text(last, case).splitlines() == [MARK, "standard deviation, grey values"]
    assert "18 patients" in uncertainty_legend(case)


def test_an_uncalibrated_map_says_so_in_view_and_legend():
    case = a_case_with_map(a_map(calibrated=False, patients=4))
    assert "uncalibrated spread" in label("uncertainty", case)
    assert "Not calibrated" in uncertainty_legend(case)


def test_without_a_map_the_mode_falls_back(a_pair):
    assert panes(Choice("uncertainty"), a_pair) == panes(Choice(), a_pair)
    assert uncertainty_legend(a_pair) == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (a_volume("MR", provenance=RECORD), "does not say that it is an uncertainty map"),
        (a_volume("MR"), "does not say that it is an uncertainty map"),
        (Volume(np.zeros((3, 4, 6)), provenance=a_map().provenance), "not on the grid"),
        (replace(a_map(), provenance=replace(a_map().provenance, source_sha256="00" * 32)), "another scan"),
        (replace(a_map(), provenance=replace(a_map().provenance, weights_sha256="00" * 32)), "another model"),
    ],
)
def test_a_map_of_something_else_is_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        a_case_with_map(wrong)


def test_a_map_is_not_taken_for_an_image():
    with pytest.raises(InputError, match="is a map about an image"):
        Case("case17", a_volume(), a_map()).load()
