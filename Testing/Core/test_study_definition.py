"""Study files: sound ones are read as they are, unsound ones are refused in one sentence, whatever is in them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagetranslation.errors import InputError
from imagetranslation.readerstudy import creation
from imagetranslation.readerstudy.definition import KINDS, load_study, study_from
from imagetranslation.readerstudy.images import resolve
from imagetranslation.readerstudy.questions import OPERATORS, TYPES
from imagetranslation.readerstudy.schedule import build_schedule
from imagetranslation.readerstudy.soundness import schema
from Testing.studies import COMMENT, REALISM, a_document, write_images


def refusal(document: Any) -> str:
    with pytest.raises(InputError) as caught:
        study_from(document, "study.json")
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 600
    assert sentence.endswith(".")
    return sentence


def changed(**more: Any) -> dict[str, Any]:
    return a_document(**more)


def with_question(*questions: dict[str, Any], kind: str = "single") -> dict[str, Any]:
    return a_document(kind=kind, questions=[REALISM, *questions])


def test_a_sound_study_says_what_its_file_says() -> None:
    study = study_from(a_document(cases=3, readers=7, arms=3), "study.json")
    assert [arm.kind for arm in study.arms] == ["real", "synthetic", "synthetic"]
    assert study.treatments == (("scanner",), ("model1",), ("model2",))
    assert study.readers == ("R1", "R2", "R3", "R4", "R5", "R6", "R7")
    assert study.case("patient1").patient == "patient1"
    assert study.questions[2].show_if is not None


def test_the_hash_ignores_layout_and_sees_every_change() -> None:
    document = a_document()
    turned = json.loads(json.dumps(document, indent=3, sort_keys=True))
    assert study_from(turned, "x").sha256 == study_from(document, "x").sha256
    turned["questions"][0]["anchors"][2] = "Unsure"
    assert study_from(turned, "x").sha256 != study_from(document, "x").sha256


def test_pairs_are_real_with_synthetic_unless_named() -> None:
    assert study_from(a_document(arms=3, kind="forced_choice"), "x").treatments == (
        ("scanner", "model1"),
        ("scanner", "model2"),
    )
    named = a_document(arms=3, display={"kind": "pair", "pairs": [["model1", "model2"]]})
    assert study_from(named, "x").treatments == (("model1", "model2"),)


def test_the_schema_and_the_code_name_the_same_things() -> None:
    definitions = schema()["$defs"]
    assert tuple(definitions["question"]["properties"]["type"]["enum"]) == TYPES
    assert set(definitions["question"]["properties"]["show_if"]["properties"]) == {"question", *OPERATORS}
    assert tuple(schema()["properties"]["display"]["properties"]["kind"]["enum"]) == KINDS


@pytest.mark.parametrize("name", ["us2mri", "pool2delayed"])
def test_the_shipped_templates_make_sound_studies(name: str) -> None:
    cases = creation.CaseList(("real", "a-model"), a_cases(), [])
    document = creation.new_document(creation.load_template(name), cases, 7, id_="x", seed=1)
    study = study_from(document, name)
    asked = {question.id: question for question in study.questions}
    assert {"realism", "artifacts", "artifact_type", "artifact_severity", "interpretability"} <= set(asked)
    assert len(asked["realism"].anchors) == len(asked["interpretability"].anchors) == 5
    assert {"confidence", "origin", "origin_confidence", "comment"} <= set(asked)
    assert asked["artifact_type"].show_if is not None


def a_cases() -> list[dict[str, Any]]:
    return [
        {"id": f"c{n}", "source": f"s{n}.nii", "images": {"real": f"r{n}.nii", "a-model": f"m{n}.nii"}}
        for n in range(3)
    ]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (changed(readers=3) | {"readers": ["R1", "r1"]}, "two readers are called r1"),
        (changed() | {"readers": ["Dr. Smith"]}, "Dr. Smith"),
        (changed() | {"readers": ["R1\n"]}, "readers"),
        (changed() | {"format_version": 2}, "Update imagetranslation"),
        (changed() | {"surprise": 1}, "surprise"),
        (changed() | {"seed": True}, "seed"),
        (changed() | {"primary": {"question": "beauty", "analysis": "difference", "hypothesis": "x"}}, "beauty"),
        (changed() | {"primary": {"question": "realism", "analysis": "mrmc", "hypothesis": "x"}}, "truth"),
        (with_question(REALISM), "two questions are called realism"),
        (with_question({"id": "a", "type": "likert", "text": "A?"}), "anchors"),
        (with_question({"id": "a", "type": "choice", "text": "A?"}), "options"),
        (with_question({**COMMENT, "show_if": {"question": "realism", "at_least": 9}}), "cannot have"),
        (with_question({**COMMENT, "show_if": {"question": "later", "equals": 1}}), "not asked before it"),
        (with_question({**COMMENT, "show_if": {"question": "realism"}}), "show_if"),
        (with_question({"id": "a", "type": "choice", "text": "A?", "images_are_options": True}), "shows one"),
        (changed(display={"kind": "ranking", "pairs": [["scanner", "model1"]]}), "pairs"),
        (changed(arms=1, kind="pair"), "needs two arms"),
        (changed(sessions={"count": 1, "not_before": ["2026-01-01", "2026-02-01"]}), "2 dates for 1 session"),
        (changed(sessions={"count": 2, "not_before": ["2026-02-01", "2026-01-01"]}), "go back"),
        (changed(sessions={"count": 1, "not_before": ["2026-02-31"]}), "no date"),
        (changed() | {"questions": [COMMENT]}, "no question is required"),
        ([], "not a sound study"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_sentence(document: Any, says: str) -> None:
    assert says in refusal(document)


def test_one_patient_cannot_be_practised_on_and_scored() -> None:
    document = a_document(training=1)
    document["training"][0]["patient"] = "patient1"
    assert "patient1" in refusal(document)


def test_a_case_without_one_of_the_arms_is_named() -> None:
    document = a_document(arms=3)
    del document["cases"][2]["images"]["model2"]
    assert "patient2" in refusal(document)
    assert "model2" in refusal(document)


def test_one_file_cannot_be_two_images_of_a_case() -> None:
    document = a_document()
    document["cases"][0]["images"]["model1"] = document["cases"][0]["images"]["scanner"]
    assert "one file for two images" in refusal(document)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"title": "\\ud800"}',
        b'{"title": "a\\u0000b"}',
        b"9" * 100_000,
        b"null",
    ],
)
def test_a_file_that_is_no_study_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "study.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_study(tmp_path)
    assert "\n" not in str(caught.value)
    assert "study.json" in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    for name, inner in pairs:
        found += places(inner, (*path, name))
    return found


RICH = a_document(
    cases=3,
    training=1,
    arms=3,
    kind="pair",
    sessions={"count": 2, "washout_days": 3, "not_before": [None, "2026-01-01"]},
    options={"allow_back": False, "idle_after_s": 30},
)
PLACES = [place for place in places(RICH) if place]
CHANGES = st.tuples(st.sampled_from(PLACES), st.sampled_from(["replace", "remove", "double"]), JSON)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(CHANGES, min_size=1, max_size=3))
def test_no_mutation_of_a_study_is_a_traceback_or_another_study(
    changes: list[tuple[tuple[Any, ...], str, Any]],
) -> None:
    document = copy.deepcopy(RICH)
    for path, what, value in changes:
        mutate(document, path, what, value)
    try:
        study = study_from(json.loads(json.dumps(document)), "study.json")
        schedule = build_schedule(study)
    except InputError as error:
        one_sentence(str(error))
        return
    # What passes is a study in which each reader sees each case of the file, and nothing else.
    for row in schedule.rows.values():
        assert {trial.case for trial in row if not trial.training} == {case["id"] for case in document["cases"]}
        assert all(set(trial.arms) <= {arm["id"] for arm in document["arms"]} for trial in row)
    assert study_from(json.loads(json.dumps(study.document)), "again").sha256 == study.sha256


def one_sentence(text: str) -> None:
    assert "\n" not in text
    assert len(text) < 800


def mutate(document: Any, path: tuple[Any, ...], what: str, value: Any) -> None:
    target = document
    for step in path[:-1]:
        try:
            target = target[step]
        except (KeyError, IndexError, TypeError):
            return
    try:
        if what == "remove":
            del target[path[-1]]
        elif what == "double" and isinstance(target, list):
            target.append(copy.deepcopy(target[path[-1]]))
        else:
            target[path[-1]] = value
    except (KeyError, IndexError, TypeError):
        return


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=200))
def test_no_bytes_are_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed-study.json"
    file.write_bytes(content)
    with pytest.raises(InputError):
        load_study(file)


@pytest.mark.parametrize("path", ["../secret.nii", "/etc/passwd", "images/../../secret.nii", "images/link.nii"])
def test_no_path_leaves_the_study_without_saying_so(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.nii").write_bytes(b"x")
    folder = tmp_path / "study"
    document = a_document()
    write_images(folder, document)
    (folder / "images" / "link.nii").symlink_to(tmp_path / "secret.nii")
    with pytest.raises(InputError, match="out of the study's folder"):
        resolve(study_from(document, "x"), folder, path)
    allowed = study_from(a_document(outside_folders=["..", "/etc"]), "x")
    assert resolve(allowed, folder, path).exists()
