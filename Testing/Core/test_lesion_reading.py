"""Lesion reading of bone scans on images whose truth is set: what was erased is missed, what was added is invented."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training_tools.lesions import main

from .lesion_views import COLUMNS, ROWS, Made, Patient, picture, write_image

PATIENTS = (
    Patient("p1", "inflammatory arthritis", ((0, 0), (1, 1))),
    Patient("p2", "inflammatory arthritis", ((0, 1), (2, 0))),
    Patient("p3", "osteomyelitis", ((1, 0),)),
    Patient("p4", "CRPS", ((2, 1),)),
    Patient("p5", "cellulitis", (), ((1, 1),)),
    Patient("p6", "recent bone injury", ((0, 0),)),
    Patient("p7", "none"),
)
ERASED = (("p1", (0, 0)), ("p6", (0, 0)))
INVENTED = (("p5", (1, 1)), ("p7", (0, 1)), ("p7", (2, 0)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made"), PATIENTS).write()


def run(made: Made, output: Path, *options: str | Path) -> dict[str, Any]:
    """The command on a made folder; returns lesions.json."""
    given = ["pool2delayed", "--data", str(made.folder), "--draws", "100", "-o", str(output), *map(str, options)]
    assert main(given) == 0
    return dict(json.loads((output / "lesions.json").read_text(encoding="utf-8")))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def of(table: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(row for row in table if row["of"] == name)


@pytest.fixture(scope="module")
def flawed(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A translator that erases two of six lesions and invents three places, read."""
    folder = tmp_path_factory.mktemp("flawed")
    made.translated(folder / "images", ERASED, INVENTED)
    return run(made, folder / "out", "--synthetic", folder / "images"), folder / "out"


def test_known_misses_are_the_sensitivity_of_every_group(flawed: tuple[dict[str, Any], Path]) -> None:
    table = flawed[0]["results"]["readers"]["rule"]["sensitivity_hyperaemic"]

    assert {row["of"]: (row["k"], row["n"]) for row in table} == {
        "inflammatory arthritis": (3, 4), "osteomyelitis": (1, 1), "CRPS": (1, 1), "cellulitis": (0, 0),
        "recent bone injury": (0, 1), "all groups": (5, 7),
    }  # fmt: skip


def test_both_intervals_are_those_of_the_published_formulas(flawed: tuple[dict[str, Any], Path]) -> None:
    told = of(flawed[0]["results"]["readers"]["rule"]["sensitivity_hyperaemic"], "all groups")

    # 5 of 7: Wilson's formula and the quantiles of the beta distribution, by hand.
    assert (told["wilson"]["low"], told["wilson"]["high"]) == pytest.approx((0.3589, 0.9178), abs=1e-4)
    assert (told["clopper_pearson"]["low"], told["clopper_pearson"]["high"]) == pytest.approx(
        (0.2904, 0.9633), abs=1e-4
    )


def test_the_interval_by_patients_is_wider_where_lesions_of_a_patient_fail_together(tmp_path: Path) -> None:
    sites = ((0, 0), (1, 1), (2, 0))
    patients = [Patient(f"p{n}", "CRPS", sites) for n in range(8)]
    made = Made(tmp_path / "made", patients).write()
    gone = [(patient.name, site) for patient in patients[:4] for site in sites]
    made.translated(tmp_path / "images", gone)

    results = run(made, tmp_path / "out", "--synthetic", tmp_path / "images")["results"]
    told = of(results["readers"]["rule"]["sensitivity"], "all groups")

    assert (told["k"], told["n"], told["patients"]) == (12, 24, 8)
    width = {name: told[name]["high"] - told[name]["low"] for name in ("wilson", "by_patient")}
    assert width["by_patient"] > 1.3 * width["wilson"]


def test_what_was_added_are_the_false_positives(flawed: tuple[dict[str, Any], Path]) -> None:
    told = flawed[0]["results"]["readers"]["rule"]["false_positives_per_image"]

    assert (of(told, "all groups")["total"], of(told, "all groups")["n"]) == (3, 7)
    assert of(told, "all groups")["value"] == pytest.approx(3 / 7)
    assert (of(told, "none")["total"], of(told, "cellulitis")["total"]) == (2, 1)


def test_an_uptake_where_only_hyperaemia_was_is_no_longer_specific(flawed: tuple[dict[str, Any], Path]) -> None:
    told = of(flawed[0]["results"]["readers"]["rule"]["specificity"], "cellulitis")

    assert (told["k"], told["n"]) == (0, 1)


def test_the_detector_alone_finds_what_was_left_and_marks_what_was_added(flawed: tuple[dict[str, Any], Path]) -> None:
    curves = flawed[0]["results"]["froc"]

    found = {name: {row["false_positives_per_image"]: row["sensitivity"] for row in curve["at"]}
             for name, curve in curves.items() if name != "real"}  # fmt: skip
    # Three added in seven images are 0.43 an image.
    assert found["synthetic"][0.5] == pytest.approx(5 / 7)
    assert max(point["false_positives_per_image"] for point in curves["synthetic"]["points"]) == pytest.approx(3 / 7)
    # The rule's truth is the real image itself: no mark of it could be false, so it has a share and no curve.
    assert (curves["real"]["k"], curves["real"]["n"]) == (7, 7)
    assert "points" not in curves["real"]
    page = (flawed[1] / "lesions.html").read_text(encoding="utf-8")
    assert "Marked: 7 of 7 lesions (100%). No curve: what counts in truth is told by the real image itself" in page


def test_missed_and_invented_places_are_listed_where_they_are(flawed: tuple[dict[str, Any], Path]) -> None:
    lesions, marks = rows(flawed[1] / "lesions.csv"), rows(flawed[1] / "marks.csv")

    missed = {(row["case"], float(row["row"]), float(row["column"])) for row in lesions if row["outcome"] == "missed"}
    invented = {(row["case"], int(row["row"]), int(row["column"])) for row in marks if row["invented"] == "1"}

    assert missed == {(name, ROWS[row], COLUMNS[column]) for name, (row, column) in ERASED}
    assert invented == {(name, ROWS[row], COLUMNS[column]) for name, (row, column) in INVENTED}


def test_every_missed_and_invented_place_has_a_picture(flawed: tuple[dict[str, Any], Path]) -> None:
    page = (flawed[1] / "lesions.html").read_text(encoding="utf-8")

    # Two erased; three marks, one of them also a known place called increased.
    assert page.count("data:image/png;base64,") == 2 + 3 + 1


def test_intervals_of_few_patients_bear_a_star_and_the_page_says_what_it_means(
    flawed: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    told, page = flawed[0]["results"]["readers"]["rule"], (flawed[1] / "lesions.html").read_text(encoding="utf-8")
    rate = of(told["false_positives_per_image"], "all groups")["by_patient"]
    assert f"<td class=''>{rate['low']:.2f} to {rate['high']:.2f} *</td>" in page
    # Seven patients; five of them have increased lesions.
    assert "* only 7 patients: take the interval as rough.</p>" in page
    assert "* only 5 patients: take the interval as rough.</p>" in page
    many = Made(tmp_path / "made", [Patient(f"p{n}", "CRPS", ((0, 0),)) for n in range(10)]).write()
    images = many.translated(tmp_path / "images", [("p0", (0, 0)), ("p1", (0, 0))], [("p2", (1, 1)), ("p3", (2, 1))])
    run(many, tmp_path / "out", "--synthetic", images)
    assert " *<" not in (tmp_path / "out" / "lesions.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_else_and_says_that_it_is_simulated(flawed: tuple[dict[str, Any], Path]) -> None:
    page = (flawed[1] / "lesions.html").read_text(encoding="utf-8")

    assert not [sign for sign in ("<script", "src='http", 'src="http', "url(", "<link") if sign in page]
    shown = ("simulated, not comparable", "77.8%", "about 44%", "6.3%", "a ratio of 1.25 or more")
    assert [words for words in shown if words not in page] == []
    # Of the published study nothing is said but what is known of it.
    assert "not among the facts that we have" in page
    assert not [words for words in ("1464", "physicians", "not published") if words in page]


def test_a_perfect_translator_finds_all_and_invents_nothing(made: Made, tmp_path: Path) -> None:
    told = run(made, tmp_path / "out", "--synthetic", made.translated(tmp_path / "images"))
    own = told["results"]["readers"]["rule"]

    assert of(own["sensitivity"], "all groups")["value"] == 1.0
    assert of(own["specificity"], "all groups")["value"] == 1.0
    assert of(own["false_positives_per_image"], "all groups")["total"] == 0
    assert told["alike"] == {"the blood pool itself": 0, "the real delayed image itself": len(PATIENTS)}
    bias = of(told["results"]["uptake_ratio"], "all groups")
    assert bias["bias"]["value"] == pytest.approx(0, abs=1e-4)
    assert bias["limits"] == pytest.approx([0, 0], abs=1e-3)


def test_the_blood_pool_in_place_of_a_translation_is_told(made: Made, tmp_path: Path) -> None:
    told = run(made, tmp_path / "out", "--synthetic", made.folder / "source")
    own = told["results"]["readers"]["rule"]

    assert told["alike"]["the blood pool itself"] == len(PATIENTS)
    assert "this is no translation" in (tmp_path / "out" / "lesions.html").read_text(encoding="utf-8")
    # It is its own floor: uptake where there is hyperaemia alone.
    assert own["sensitivity"] == told["results"]["floor"]["sensitivity"]
    assert of(own["specificity"], "cellulitis")["k"] == 0


def test_a_ratio_that_is_too_low_by_a_known_amount_is_the_bias(tmp_path: Path) -> None:
    made = Made(tmp_path / "made", [Patient(f"p{n}", "CRPS", ((0, 0),)) for n in range(6)]).write()
    for patient in made.patients:
        write_image(picture({(0, 0): 100.0}), tmp_path / "images" / f"{patient.name}.nrrd")

    told = run(made, tmp_path / "out", "--synthetic", tmp_path / "images")
    row = rows(tmp_path / "out" / "lesions.csv")[0]

    wanted = float(row["ratio_synthetic"]) - float(row["ratio_real"])
    assert wanted < -0.3
    assert of(told["results"]["uptake_ratio"], "CRPS")["bias"]["value"] == pytest.approx(wanted)


def test_an_image_in_which_nothing_can_be_read_counts_its_lesions_as_missed(made: Made, tmp_path: Path) -> None:
    made.translated(tmp_path / "images")
    write_image(np.full((64, 64), 7.0), tmp_path / "images" / "p1.nrrd")

    told = run(made, tmp_path / "out", "--synthetic", tmp_path / "images")

    assert of(told["results"]["readers"]["rule"]["sensitivity"], "inflammatory arthritis")["k"] == 2
    assert told["unreadable"] == 1
    assert any("constant" in note and "p1" in note for note in told["notes"])


def test_sides_are_the_patients_in_both_views(tmp_path: Path) -> None:
    patients = [Patient(view, "CRPS", ((0, 0),), view=view) for view in ("anterior", "posterior")]
    made = Made(tmp_path / "made", patients).write()

    run(made, tmp_path / "out", "--synthetic", made.translated(tmp_path / "images"))

    sides = {row["view"]: row["side"] for row in rows(tmp_path / "out" / "lesions.csv")}
    assert sides == {"anterior": "right", "posterior": "left"}


def test_lesions_are_found_without_any_region(made: Made, tmp_path: Path) -> None:
    made.translated(tmp_path / "images", ERASED)

    told = run(made, tmp_path / "out", "--synthetic", tmp_path / "images", "--automatic")
    found = rows(tmp_path / "out" / "lesions.csv")

    real = {(row["case"], round(float(row["row"])), round(float(row["column"]))) for row in found
            if row["origin"] == "detector, delayed image"}  # fmt: skip
    wanted = {(p.name, ROWS[row], COLUMNS[column]) for p in PATIENTS for row, column in p.lesions}
    assert real == wanted
    assert [(row["case"], row["outcome"]) for row in found if row["origin"] == "detector, blood pool"] == [
        ("p5", "clear")
    ]
    assert of(told["results"]["readers"]["rule"]["sensitivity_hyperaemic"], "all groups")["k"] == 5


def test_a_table_can_say_what_is_increased_in_truth(made: Made, tmp_path: Path) -> None:
    table = tmp_path / "lesions.csv"
    table.write_text("case,lesion,increased,place\np1,1,0,left wrist\np1,2,1,right wrist\n", encoding="utf-8")

    made.translated(tmp_path / "images")
    options = ("--lesions", table, "--truth", "table")
    told = run(made, tmp_path / "out", "--synthetic", tmp_path / "images", *options)
    found = {(row["case"], row["lesion"]): row for row in rows(tmp_path / "out" / "lesions.csv")}

    assert (found["p1", "1"]["outcome"], found["p1", "1"]["site"]) == ("invented", "left wrist")
    assert found["p1", "2"]["outcome"] == "found"
    assert found["p3", "1"]["outcome"] == ""
    assert "does not say" in found["p3", "1"]["refused"]
    # The rule reads the real image as the perfect translation: one of one found, none of one clear.
    ceiling = told["results"]["ceiling"]
    assert [of(ceiling[name], "all groups")["k"] for name in ("sensitivity", "specificity")] == [1, 0]


def test_marks_of_the_real_image_are_false_where_the_table_knows_no_lesion(tmp_path: Path) -> None:
    made = Made(tmp_path / "made", [Patient(f"p{n}", "CRPS", ((0, 0),)) for n in range(6)]).write()
    made.translated(tmp_path / "images")
    for patient in made.patients:  # a hotter place that no table lists
        write_image(picture({(0, 0): 150.0, (2, 1): 200.0}), made.folder / "target" / f"{patient.name}.nrrd")
    table = tmp_path / "lesions.csv"
    table.write_text("case,lesion,increased\n" + "".join(f"p{n},1,1\n" for n in range(6)), encoding="utf-8")

    options = ("--lesions", table, "--truth", "table")
    told = run(made, tmp_path / "out", "--synthetic", tmp_path / "images", *options)["results"]

    real = {row["false_positives_per_image"]: row["sensitivity"] for row in told["froc"]["real"]["at"]}
    assert (real[0.5], real[1.0]) == (0.0, 1.0)
    assert of(told["ceiling"]["false_positives_per_image"], "all groups")["total"] == 6
    assert of(told["readers"]["rule"]["false_positives_per_image"], "all groups")["total"] == 0


def test_every_number_of_the_rule_is_an_option_and_is_kept(made: Made, tmp_path: Path) -> None:
    made.translated(tmp_path / "images")

    told = run(made, tmp_path / "out", "--synthetic", tmp_path / "images", "--increased", "3", "--mark-from", "3",
               "--against", "background", "--around-mm", "60")  # fmt: skip

    rule = told["settings"]["rule"]
    assert (rule["increased"], rule["against"], rule["around_mm"]) == (3, "background", 60)
    # 150 over 60 is 2.5: nothing is increased any more.
    assert of(told["results"]["readers"]["rule"]["sensitivity"], "all groups")["n"] == 0
    assert "refused" in told["results"]["froc"]
