"""`imagetranslation agreement` and `mrmc` as a person runs them: tables, JSON, and one sentence for a bad CSV."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from imagetranslation.cli import app
from imagetranslation.errors import ImageTranslationError, InputError
from imagetranslation.readerstudy.statistics.csvtables import WideTable, read_wide
from imagetranslation.readerstudy.statistics.mrmctable import read_study
from Testing.Core import published_ratings as published
from Testing.Core.roe_metz import roe_metz

LONG_HEADER = ["reader", "test", "case", "truth", "rating"]


def text_of(rows: list[list[object]], separator: str = ",") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    return out.getvalue()


def run(*arguments: str) -> tuple[int, str, Exception | None]:
    ran = CliRunner().invoke(app, list(arguments))
    return ran.exit_code, ran.output, ran.exception


@pytest.fixture
def ratings_csv(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    rows = [["Units", "Ann", "Bob", "Cem", "Dia"], *([f"u{i}", *row] for i, row in enumerate(published.KRIPPENDORFF))]
    path.write_text(text_of(rows))
    return path


def long_rows(readers: int = 3, cases: int = 30) -> list[list[object]]:
    ratings, truth = roe_metz(np.random.default_rng(1), readers=readers, positives=cases // 2, negatives=cases // 2)
    return [
        [f"R{j}", "ABC"[i], k, int(truth[k]), round(float(ratings[i, j, k]), 3)]
        for i in range(2)
        for j in range(readers)
        for k in range(cases)
    ]


@pytest.fixture
def study_csv(tmp_path: Path) -> Path:
    path = tmp_path / "study.csv"
    path.write_text(text_of([LONG_HEADER, *long_rows()]))
    return path


def test_the_agreement_table_shows_every_coefficient_with_its_intervals(ratings_csv: Path) -> None:
    code, shown, _ = run("agreement", str(ratings_csv), "--categories", "1,2,3,4,5", "--draws", "200")
    assert code == 0
    for text in ("Krippendorff's alpha, ordinal", "0.8154", "Gwet's AC1", "0.7754", "ICC(3,k)", "Kendall's W", "BCa",
                 "seed 1", "12 cases of 12 patients, 4 raters, 41 ratings", "declared"):  # fmt: skip
        assert text in shown


def test_the_json_holds_value_interval_n_method_and_versions(ratings_csv: Path) -> None:
    code, shown, _ = run("agreement", str(ratings_csv), "--json", "--draws", "200", "--seed", "9")
    assert code == 0
    told = json.loads(shown)
    alpha = next(row for row in told["coefficients"] if row["key"] == "krippendorff_interval")
    assert alpha["value"] == pytest.approx(0.8491, abs=5e-5)
    assert alpha["n"] == {"cases": 12, "patients": 12, "raters": 4, "ratings": 41, "categories": 5}
    assert alpha["intervals"][1]["low"] < alpha["value"] < alpha["intervals"][1]["high"]
    assert "seed 9" in alpha["intervals"][1]["method"]
    assert told["bootstrap"]["seed"] == 9
    assert set(told["versions"]) == {"imagetranslation", "python", "numpy", "scipy"}


def test_the_mrmc_table_shows_three_designs_and_the_next_study(study_csv: Path) -> None:
    code, shown, _ = run("mrmc", str(study_csv), "--covariance", "delong")
    assert code == 0
    for text in ("RRRC: random readers, random cases", "FRRC", "RRFC", "delong covariances", "reader R2",
                 "Power of the", "A - B", "Cov3"):  # fmt: skip
        assert text in shown


def test_a_small_p_is_never_printed_as_zero(tmp_path: Path) -> None:
    rows = [
        [f"R{r}", test, f"c{n}", n % 2, ((n % 2) * 4 if test == "A" else 0) + (n * (r + 3)) % 5]
        for r in range(3) for test in "AB" for n in range(60)
    ]  # fmt: skip
    path = tmp_path / "study.csv"
    path.write_text(text_of([LONG_HEADER, *[[str(cell) for cell in row] for row in rows]]))
    code, shown, _ = run("mrmc", str(path))
    assert code == 0
    assert "< 0.0001" in shown
    assert not re.search(r"\b0\.0000 ", shown)


def test_the_mrmc_json_is_complete_and_its_parts_agree(study_csv: Path) -> None:
    code, shown, _ = run("mrmc", str(study_csv), "--json", "--effect", "0.1")
    assert code == 0
    told = json.loads(shown)
    assert told["n"] == {"readers": 3, "tests": 2, "cases": 30, "positive": 15, "negative": 15}
    designs = {design["key"]: design for design in told["designs"]}
    gap = designs["RRRC"]["differences"][0]
    assert gap["p"] == pytest.approx(designs["RRRC"]["p"])
    assert (gap["low"] < 0 < gap["high"]) == (designs["RRRC"]["p"] > 0.05)
    assert told["next_study"]["difference"] == 0.1
    assert len(told["areas"]) == 6


def test_a_bad_table_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("case,a,b\n1,2,3\n2,2,x\n3,1,1\n4,2,2\n")
    command = [sys.executable, "-m", "imagetranslation", "agreement", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "row 3, column b: 'x' is no number" in ran.stderr
    as_json = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert json.loads(as_json.stdout)["error"]["code"] == "input"


def test_without_scipy_the_command_says_what_to_install(ratings_csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagetranslation.readerstudy.statistics.versions.find_spec", lambda name: None)
    _, _, error = run("agreement", str(ratings_csv))
    assert isinstance(error, InputError)
    assert "imagetranslation[study]" in str(error)


def wide(tmp_path: Path, text: str, **options) -> WideTable:
    path = tmp_path / "table.csv"
    path.write_text(text)
    return read_wide(path, **options)


@pytest.mark.parametrize(
    ("text", "raters", "cases", "first"),
    [
        ("1,2\n2,2\n3,1\n", ("rater 1", "rater 2"), ("row 1", "row 2", "row 3"), [0, 1]),
        ("a,b\n1,2\n2,2\n", ("a", "b"), ("row 2", "row 3"), [0, 1]),
        ("id,a,b\n7,1,2\n8,2,2\n", ("a", "b"), ("7", "8"), [0, 1]),
        (",a,b\n0,1,2\n1,2,2\n", ("a", "b"), ("0", "1"), [0, 1]),
        ("p1,1,2\np2,2,2\n", ("rater 1", "rater 2"), ("p1", "p2"), [0, 1]),
        ("case;a;b\nx;1;2\ny;;2\n", ("a", "b"), ("x", "y"), [0, 1]),
        ("case;a;b\nx;1,5;2,5\ny;;2,5\n", ("a", "b"), ("x", "y"), [0, 1]),
        ("case\ta\tb\nx\t1\t2\ny\tNA\t2\n", ("a", "b"), ("x", "y"), [0, 1]),
        ("\ufeffcase,a,b\nx,1,2\n\n ,,\ny,1,2\n", ("a", "b"), ("x", "y"), [0, 1]),
        ("a,b,\n1,2,\n2,2,\n", ("a", "b"), ("row 2", "row 3"), [0, 1]),
        ("1,3,4\n2,4,4\n3,3,4\n4,4,4\n5,3,3\n6,4,4\n", ("rater 1", "rater 2"), tuple("123456"), [0, 1]),
    ],
)
def test_header_names_and_separator_are_found(tmp_path: Path, text, raters, cases, first) -> None:
    found = wide(tmp_path, text)
    assert found.ratings.raters == raters
    assert found.ratings.cases == cases
    assert found.ratings.codes[0].tolist() == first
    assert found.ratings.scores is not None
    assert found.taken


def test_names_of_categories_need_no_header_and_no_numbers(tmp_path: Path) -> None:
    found = wide(tmp_path, "none,mild\nmild,mild\nsevere,none\n", categories=["none", "mild", "severe"])
    assert found.ratings.codes.tolist() == [[0, 1], [1, 1], [2, 0]]
    headed = wide(tmp_path, "who,Ann,Bob\nx,yes,no\ny,no,no\nz,yes,yes\n")
    assert headed.ratings.raters == ("Ann", "Bob")
    assert headed.ratings.cases == ("x", "y", "z")


def test_a_patient_column_makes_patients_the_unit(tmp_path: Path) -> None:
    text = "case,patient,a,b\n1,p1,1,2\n2,p1,2,2\n3,p2,1,1\n"
    assert wide(tmp_path, text).ratings.patients.tolist() == [0, 0, 1]
    other = text.replace("patient", "subject no")
    assert wide(tmp_path, other, patient="subject no").ratings.n["patients"] == 2
    with pytest.raises(InputError, match="no column 'person'"):
        wide(tmp_path, text, patient="person")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("case,a,b\n", "0 rows"),
        ("case,a,b\n1,1,2,3\n", "row 2: 4 cells, where the first row has 3"),
        ("case,a,a\n1,1,2\n", "two columns are called 'a'"),
        ("case,a,b\n1,,\n2,,\n", "no rating at all"),
        ('case,a,b\n1,"2,3\n', "row 2: unexpected end of data"),
        ("case,a\0,b\n1,1,2\n", "row 1: a zero byte"),
        ("case,a,b\n1,nan,inf\n2,1,1\n3,1,1\n", "row 2, column b: 'inf' is no number"),
        ("case,a,b\n1,1_0,1\n2,1,1\n", "row 2, column a: '1_0' is no number"),
        ("case,a,b\n1,1e308,-1e308\n2,1,1\n", "row 2, column a: '1e308' is too large"),
        (f"case,a,b\n1,x{'9' * 4000},1\n2,1,1\n", f"row 2, column a: 'x{'9' * 59}...' is no number"),
    ],
)
def test_a_bad_wide_table_is_refused_by_row_and_column(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        wide(tmp_path, text)
    assert sentence in str(refused.value)


def test_a_case_that_nobody_rated_is_left_out_and_does_not_widen_the_intervals(tmp_path: Path) -> None:
    text = "case,patient,a,b\n1,x,1,2\n2,y,,\n3,z,2,2\n,,,\n"
    found = wide(tmp_path, text)
    assert (found.ratings.n["cases"], found.ratings.n["patients"]) == (2, 2)
    assert found.ratings.cases == ("1", "3")
    assert "left out: 1 row without any rating" in found.taken


def test_a_case_that_stands_twice_is_resampled_as_one(tmp_path: Path) -> None:
    found = wide(tmp_path, "case,a,b\n1,1,2\n2,2,2\n1,1,1\n")
    assert found.ratings.patients.tolist() == [0, 1, 0]
    assert any("resampled together" in sentence for sentence in found.taken)


def test_a_rating_outside_the_declared_scale_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 3, column b: '6' is not one of the categories 1, 2, 3, 4, 5"):
        wide(tmp_path, "case,a,b\n1,1,2\n2,5,6\n", categories=list("12345"))


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    path.write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_wide(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_wide(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: [["reader", "test", "case", "rating"], *([*r[:3], r[4]] for r in rows[1:])], "no column 'truth'"),
        (lambda rows: rows[:-1], "1 of 180 readings are missing, the first of reader R2, test B, case 29"),
        (lambda rows: [*rows, rows[5]], "row 182: reader R0 rated case 4 with test A twice"),
        (lambda rows: [*rows[:9], [*rows[9][:4], "high"], *rows[10:]], "row 10, column rating: 'high' is no number"),
        (lambda rows: [*rows[:9], [*rows[9][:4], ""], *rows[10:]], "row 10, column rating: the cell is empty"),
        (lambda rows: [*rows[:9], [*rows[9][:3], 2, 1.0], *rows[10:]], "row 10, column truth: '2' is neither 0 nor 1"),
        (lambda rows: [*rows[:40], [*rows[40][:3], 0, 1.0], *rows[41:]], "row 41, column truth: case 9 has the other"),
        (lambda rows: [row for row in rows if row[0] != "R1" or row[1] != "B"], "split-plot"),
        (lambda rows: [[*row[:2], f"{row[0]}{row[2]}", *row[3:]] if row[0] != "reader" else row for row in rows],
         "fully crossed"),
    ],
)  # fmt: skip
def test_a_bad_study_is_refused_by_row_and_column(tmp_path: Path, change, sentence: str) -> None:
    path = tmp_path / "study.csv"
    path.write_text(text_of(change([LONG_HEADER, *long_rows()])))
    with pytest.raises(InputError) as refused:
        read_study(path)
    assert sentence in str(refused.value)


def test_one_kind_of_case_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    path.write_text(text_of([LONG_HEADER, *([*row[:3], 1, row[4]] for row in long_rows())]))
    code, _, error = run("mrmc", str(path))
    assert code == 1  # the command's main makes 2 of it
    assert isinstance(error, InputError)
    assert "in 30 of 30 cases" in str(error)


def test_words_for_truth_and_other_column_names_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    rows = [["CaseID", "modality", "ReaderID", "score", "Truth"]]
    rows += [[row[2], row[1], row[0], row[4], "diseased" if row[3] else "Normal"] for row in long_rows()]
    path.write_text(text_of(rows, ";"))
    study = read_study(path)
    assert study.readers == ("R0", "R1", "R2")
    assert study.truth.sum() == 15


tables = st.lists(
    st.lists(st.sampled_from(["1", "2", "3", "", "x", "NA", "-1", "1e3", "case", "patient", "r", "a,b", '"', "é", "0"]),
             min_size=1, max_size=5),
    min_size=1, max_size=8,
).map(text_of)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        tables.map(str.encode),
        st.text(max_size=200).map(lambda t: t.encode("utf-8", "ignore")),
    )
)
@example(b'"\n')
@example(b"1\r2\r3")
def test_no_wide_file_gives_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Any bytes are ratings or one sentence; ratings have at least one rating, and their codes lie on the scale."""
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(data)
    for categories in (None, ["1", "2", "3"]):
        found = table_or_sentence(path, categories)
        if isinstance(found, str):
            assert found.endswith(".")
            continue
        assert found.ratings.rated.any()
        assert found.ratings.codes.max() < len(found.ratings.labels)
        assert found.ratings.codes.shape == (len(found.ratings.cases), len(found.ratings.raters))


def table_or_sentence(path: Path, categories: list[str] | None) -> WideTable | str:
    try:
        return read_wide(path, categories)
    except InputError as refused:
        return str(refused)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(*[st.sampled_from(["a", "b", "1", "0", "", "2.5", "yes", "nan", "1_0"])] * 5), max_size=12),
    st.permutations(LONG_HEADER),
)
def test_no_long_file_gives_a_traceback(tmp_path_factory: pytest.TempPathFactory, rows, header) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_text(text_of([header, *rows]))
    try:
        study = read_study(path)
    except InputError:
        return
    assert np.isfinite(study.ratings).all()
    assert study.ratings.shape == (len(study.tests), len(study.readers), len(study.cases))


@settings(max_examples=25, deadline=None)
@given(tables)
def test_no_table_makes_the_command_fail_otherwise_than_by_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_text(text)
    code, shown, error = run("agreement", str(path), "--draws", "100", "--json")
    if code == 0:
        for row in json.loads(shown)["coefficients"]:
            assert ("value" in row) != ("refused" in row)
    else:
        assert isinstance(error, ImageTranslationError)
