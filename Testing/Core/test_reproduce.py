"""A study in one command: published numbers, steps that are kept, resumed and refused, which data are recognised."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imagetranslation.errors import Cancelled, InputError
from training_tools import reproduce
from training_tools.benchmarking.entries import entries, preset
from training_tools.crossfitting.plan import Scheme
from training_tools.lesionreading.bonescan import PUBLISHED
from training_tools.reproducing import data, plan, running, stamps
from training_tools.reproducing.choices import Choices
from training_tools.reproducing.published import published, words
from training_tools.reproducing.sizes import sizes_for
from training_tools.reproducing.stamps import DONE, MISSING, OUTDATED, Step, state

LONGEST_WAIT_S = 60


class TestPublished:
    def test_the_prostate_study_is_told_as_it_was_published(self) -> None:
        told = published("us2mri")
        assert words(told["best_ssim"]) == "0.855 ± 0.032"
        assert (told["best_network"]["value"], told["networks"]["value"]) == ("2D-Pix2Pix", 10)
        assert (told["features_preserved"]["value"], told["features"]["value"]) == (76, 186)
        assert words(told["auc"]) == words(told["accuracy"]) == "about 0.93 ± 0.05"
        assert (told["patients"]["value"], told["readers"]["value"]) == (794, 7)
        assert "10.1007/s11548-025-03481-3" in told["citation"]

    def test_the_bone_scan_study_is_told_as_it_was_published(self) -> None:
        told = published("pool2delayed")
        assert {group: words(fact, "%") for group, fact in told["sensitivity"].items()} == PUBLISHED
        assert told["patients"]["value"] == 1464
        assert (told["pool_minutes"]["value"], told["delayed_hours"]["value"]) == (10, 3)
        assert words(told["false_positives_per_image"]) == "not known"

    def test_every_number_names_its_source(self) -> None:
        for task in ("us2mri", "pool2delayed"):
            facts = [fact for fact in published(task).values() if isinstance(fact, dict)]
            facts += list(published(task).get("sensitivity", {}).values())
            assert all(fact["source"] for fact in facts if "value" in fact)


def step(name: str, needs: tuple[str, ...] = (), text: str = "first", **settings: object) -> Step:
    """A step that writes `text` and counts its runs."""

    def work(folder: Path) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "made.txt").write_text(text)
        with (folder.parent / f"runs-{name}").open("a") as runs:
            runs.write("x")
        return ""

    return Step(name, f"the step {name}", name, needs, ("made.txt",), work, settings, seconds=10)


def runs(study: Path, name: str) -> int:
    return len((study / f"runs-{name}").read_text())


class TestSteps:
    @pytest.fixture
    def study(self, tmp_path: Path) -> Path:
        """Two steps, done."""
        running.run_steps([step("one"), step("two", ("one",))], tmp_path, lambda sentence: None)
        return tmp_path

    def test_what_is_done_is_not_done_again(self, study: Path) -> None:
        said: list[str] = []
        found = running.run_steps([step("one"), step("two", ("one",))], study, said.append)
        assert said == ["All 2 steps are done."]
        assert list(found) == ["one", "two"]
        assert runs(study, "one") == runs(study, "two") == 1

    def test_progress_tells_the_step_of_how_many_and_what_is_left(self, tmp_path: Path) -> None:
        said: list[str] = []
        running.run_steps([step("one"), step("two", ("one",))], tmp_path, said.append)
        assert "2 of 2 steps are to be done: about 20 s and 0.00 GiB of disk" in said[0]
        assert said[1] == "Step 1 of 2: the step one; about 20 s left."
        # A tenth of 20 s is taken as gone by the estimate: (2 + 0) / (2 + 10) of the 10 s that remain.
        assert said[3] == "Step 2 of 2: the step two; about 2 s left."

    def test_other_settings_are_refused_by_name_before_anything_is_done(self, study: Path) -> None:
        with pytest.raises(InputError, match=r"two .* done with other settings: its folds was null, not 5"):
            running.run_steps([step("one"), step("two", ("one",), folds=5)], study, lambda sentence: None)
        assert runs(study, "two") == 1

    def test_a_changed_file_is_refused_by_name(self, study: Path) -> None:
        (study / "one" / "made.txt").write_text("touched")
        with pytest.raises(InputError, match=r"one/made\.txt has changed since the step one was done"):
            running.run_steps([step("one"), step("two", ("one",))], study, lambda sentence: None)

    def test_what_was_made_from_something_that_is_made_anew_is_made_anew(self, study: Path) -> None:
        (study / "one" / "made.txt").unlink()
        (study / "two" / "old.txt").write_text("of the old one")
        running.run_steps([step("one", text="second"), step("two", ("one",))], study, lambda sentence: None)
        assert runs(study, "one") == runs(study, "two") == 2
        assert not (study / "two" / "old.txt").exists()

    def test_the_same_made_again_leaves_what_was_made_from_it(self, study: Path) -> None:
        (study / "one" / "made.txt").unlink()
        running.run_steps([step("one"), step("two", ("one",))], study, lambda sentence: None)
        assert (runs(study, "one"), runs(study, "two")) == (2, 1)

    def test_a_step_of_another_version_is_refused(self, study: Path) -> None:
        path = stamps.stamp_file(study, "one")
        path.write_text(json.dumps({**json.loads(path.read_text()), "software": "0.0.1"}))
        with pytest.raises(InputError, match=r"was done by version 0\.0\.1"):
            running.run_steps([step("one")], study, lambda sentence: None)

    def test_a_damaged_stamp_is_named(self, study: Path) -> None:
        stamps.stamp_file(study, "one").write_text("{")
        with pytest.raises(InputError, match=r"one\.json is damaged"):
            state(study, step("one"), {})

    def test_states_are_told_apart(self, study: Path) -> None:
        digest = stamps.read_stamp(study, "one").digest  # type: ignore[union-attr]
        assert state(study, step("two", ("one",)), {"one": digest}) == DONE
        assert state(study, step("two", ("one",)), {"one": "other"}) == OUTDATED
        assert state(study, step("three"), {}) == MISSING

    def test_a_step_that_cannot_be_done_is_left_out_with_the_reason(self, tmp_path: Path) -> None:
        said: list[str] = []
        no = replace(step("no"), work=lambda folder: "the data name no label.")
        found = running.run_steps([no, step("next", ("no",))], tmp_path, said.append)
        assert found["no"].left_out == "the data name no label."
        assert "  left out: the data name no label." in said
        assert runs(tmp_path, "next") == 1

    def test_cancelling_names_the_step_and_keeps_what_is_done(self, tmp_path: Path) -> None:
        def interrupted(folder: Path) -> str:
            raise KeyboardInterrupt

        stopping = replace(step("two", ("one",)), work=interrupted)
        with pytest.raises(Cancelled, match=r"Stopped in step 2 of 2 \(the step two\); what is done is kept"):
            running.run_steps([step("one"), stopping], tmp_path, lambda sentence: None)
        running.run_steps([step("one"), step("two", ("one",))], tmp_path, lambda sentence: None)
        assert (runs(tmp_path, "one"), runs(tmp_path, "two")) == (1, 1)

    def test_killed_in_a_step_the_same_command_goes_on(self, tmp_path: Path, repository: Path) -> None:
        program = (
            "import sys, time; from pathlib import Path; from Testing.Core.test_reproduce import step; "
            "from dataclasses import replace; from training_tools.reproducing import running\n"
            "def hang(folder):\n    Path(sys.argv[1], 'hangs').touch(); time.sleep(600)\n"
            "running.run_steps([step('one'), replace(step('two', ('one',)), work=hang)], Path(sys.argv[1]), print)"
        )
        process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=repository)
        until = time.monotonic() + LONGEST_WAIT_S
        while not (tmp_path / "hangs").exists() and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        running.run_steps([step("one"), step("two", ("one",))], tmp_path, lambda sentence: None)
        assert (runs(tmp_path, "one"), runs(tmp_path, "two")) == (1, 1)

    def test_answers_of_readers_are_never_removed_for_a_study_made_anew(self, tmp_path: Path) -> None:
        reading = replace(step("study", ("one",)), people=("**/answers/**/*",))
        running.run_steps([step("one"), reading], tmp_path, lambda sentence: None)
        answer = tmp_path / "study" / "study" / "reading" / "answers" / "reader1.jsonl"
        answer.parent.mkdir(parents=True)
        answer.write_text("score 5\n")
        running.run_steps([step("one"), reading], tmp_path, lambda sentence: None)
        (tmp_path / "one" / "made.txt").unlink()
        with pytest.raises(
            InputError, match=r"people have worked in it: .*reader1\.jsonl is there\. Nothing was touched"
        ):
            running.run_steps([step("one", text="second"), reading], tmp_path, lambda sentence: None)
        assert answer.read_text() == "score 5\n"
        assert runs(tmp_path, "one") == 1, "refused before anything is begun"
        (tmp_path / "study").rename(tmp_path / "kept elsewhere")
        running.run_steps([step("one", text="second"), reading], tmp_path, lambda sentence: None)
        assert (runs(tmp_path, "one"), runs(tmp_path, "study")) == (2, 2)

    def test_an_answer_given_while_an_earlier_step_is_made_anew_is_kept_too(self, study: Path) -> None:
        answer = study / "two" / "answers" / "reader1.jsonl"

        def answered(folder: Path) -> str:
            answer.parent.mkdir(parents=True)
            answer.write_text("score 5\n")
            return step("one", text="second").work(folder)

        (study / "one" / "made.txt").unlink()
        reading = replace(step("two", ("one",)), people=("answers/*",))
        with pytest.raises(InputError, match="people have worked in it"):
            running.run_steps([replace(step("one"), work=answered), reading], study, lambda sentence: None)
        assert answer.read_text() == "score 5\n"

    def test_a_prepared_reader_study_says_where_its_answers_are(self) -> None:
        made = Choices("us2mri", data.PHANTOM, Path("x"), True, sizes_for("us2mri", True), 1)
        assert next(one for one in plan.steps(made) if one.name == "study").people == ("**/answers/**/*",)

    def test_an_old_folder_is_moved_aside_and_not_removed(self, study: Path) -> None:
        (study / "one" / "made.txt").unlink()
        (study / "two" / "notes.txt").write_text("of a person")
        said: list[str] = []
        running.run_steps([step("one", text="second"), step("two", ("one",))], study, said.append)
        (aside,) = study.glob("two.outdated-*")
        assert (aside / "notes.txt").read_text() == "of a person"
        assert any(aside.name in sentence for sentence in said)

    def test_killed_after_the_old_folder_was_moved_aside_the_step_is_begun_from_nothing(
        self, study: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_: object) -> Path:
            raise SystemExit

        (study / "one" / "made.txt").unlink()
        (study / "two" / "old.txt").write_text("of the old one")
        begun_anew = [step("one", text="second"), step("two", ("one",))]
        with monkeypatch.context() as patch:
            patch.setattr(stamps, "stamp_file", lambda place, name: killed() if name == "two" and not (
                place / "two").exists() else place / "steps" / f"{name}.json")  # fmt: skip
            with pytest.raises(SystemExit):
                running.run_steps(begun_anew, study, lambda sentence: None)
        running.run_steps([step("one", text="second"), step("two", ("one",))], study, lambda sentence: None)
        assert not (study / "two" / "old.txt").exists()
        assert runs(study, "two") == 2

    def test_killed_while_a_removed_step_is_done_again_the_same_command_goes_on(self, study: Path) -> None:
        def killed(folder: Path) -> str:
            folder.mkdir()
            (folder / "made.txt").write_text("half")
            raise SystemExit

        shutil.rmtree(study / "one")
        with pytest.raises(SystemExit):
            running.run_steps([replace(step("one"), work=killed), step("two", ("one",))], study, lambda sentence: None)
        running.run_steps([step("one", text="second"), step("two", ("one",))], study, lambda sentence: None)
        assert (study / "one" / "made.txt").read_text() == "second"
        assert runs(study, "one") == runs(study, "two") == 2

    def test_a_step_that_was_left_out_is_tried_again_even_with_other_settings(self, tmp_path: Path) -> None:
        no = replace(step("no"), work=lambda folder: "MIRP is not installed.")
        running.run_steps([no, step("next", ("no",))], tmp_path, lambda sentence: None)
        running.run_steps([no, step("next", ("no",))], tmp_path, lambda sentence: None)
        assert runs(tmp_path, "next") == 1, "left out again: what needs it stays"
        found = running.run_steps([step("no", folds=3), step("next", ("no",))], tmp_path, lambda sentence: None)
        assert found["no"].left_out == ""
        assert (runs(tmp_path, "no"), runs(tmp_path, "next")) == (1, 2)

    def test_a_step_that_was_left_out_does_not_go_on_with_what_it_made_of_other_things(self, study: Path) -> None:
        def no(folder: Path) -> str:
            folder.mkdir(exist_ok=True)
            (folder / "half.txt").write_text("of the first")
            return "at rho 0.3: the data mark no lesion."

        begun = replace(step("three", ("one",)), work=no)
        running.run_steps([step("one"), begun], study, lambda sentence: None)
        (study / "one" / "made.txt").unlink()
        running.run_steps([step("one", text="second"), step("three", ("one",))], study, lambda sentence: None)
        assert not (study / "three" / "half.txt").exists()
        assert len(list(study.glob("three.outdated-*"))) == 1

    def test_a_step_says_what_all_its_runs_took(self, tmp_path: Path) -> None:
        def interrupted(folder: Path) -> str:
            time.sleep(0.3)
            raise KeyboardInterrupt

        with pytest.raises(Cancelled):
            running.run_steps([replace(step("one"), work=interrupted)], tmp_path, lambda sentence: None)
        stamp = running.run_steps([step("one")], tmp_path, lambda sentence: None)["one"]
        assert stamp.seconds >= 0.3
        assert stamp.runs == 2

    def test_a_start_reads_a_kept_file_once(self, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        read: list[Path] = []
        stamps._sha256_of_known.cache_clear()
        whole = stamps.sha256_of
        monkeypatch.setattr(stamps, "sha256_of", lambda path: read.append(path) or whole(path))
        running.run_steps([step("one"), step("two", ("one",))], study, lambda sentence: None)
        assert sorted(path.parent.name for path in read) == ["one", "two"]

    def test_two_processes_do_not_work_in_one_folder(self, tmp_path: Path) -> None:
        from imagetranslation.cohorts.lock import CohortLock

        with CohortLock(tmp_path, "reproduce.lock"), pytest.raises(InputError, match="Another run works in"):
            running.run_steps([step("one")], tmp_path, lambda sentence: None)


class TestData:
    @pytest.mark.parametrize(
        ("there", "wanted"),
        [
            (("pairs.csv",), ["--csv", "ROOT/pairs.csv"]),
            (("us/", "mr/"), ["--source", "ROOT/us", "--target", "ROOT/mr"]),
            (
                ("us/", "mr/", "us_labels/", "mr_labels/", "us_lesions/"),
                ["--source", "ROOT/us", "--target", "ROOT/mr", "--source-labels", "ROOT/us_labels", "--target-labels",
                 "ROOT/mr_labels", "--lesions", "ROOT/us_lesions"],
            ),
            (("metadata.csv",), ["--tcia", "ROOT"]),
        ],
    )  # fmt: skip
    def test_what_preparation_reads_is_recognised(
        self, tmp_path: Path, there: tuple[str, ...], wanted: list[str]
    ) -> None:
        for name in there:
            path = tmp_path / name
            path.mkdir() if name.endswith("/") else path.write_text("x")
        made = data.arguments_for(tmp_path, "us2mri")
        assert made == [word.replace("ROOT", str(tmp_path)) for word in wanted]

    def test_prepared_cases_need_no_preparation(self, tmp_path: Path) -> None:
        (tmp_path / "cases.json").write_text("{}")
        assert data.arguments_for(tmp_path, "us2mri") is None
        with pytest.raises(InputError, match="prepared cases already"):
            data.arguments_for(tmp_path, "us2mri", ["--method", "none"])

    def test_planar_dicom_is_what_a_folder_of_bone_scans_is_taken_for(self, tmp_path: Path) -> None:
        assert data.arguments_for(tmp_path, "pool2delayed") == ["--nm", str(tmp_path)]

    def test_a_folder_that_nothing_tells_about_is_refused_with_what_can_be_done(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="Say where the pairs are with options"):
            data.arguments_for(tmp_path, "us2mri")
        with pytest.raises(InputError, match="is no folder"):
            data.arguments_for(tmp_path / "absent", "us2mri")

    def test_a_bids_folder_needs_its_suffixes(self, tmp_path: Path) -> None:
        (tmp_path / "dataset_description.json").write_text("{}")
        with pytest.raises(InputError, match="--source-suffix"):
            data.arguments_for(tmp_path, "us2mri")
        more = ["--source-suffix", "us", "--target-suffix", "T2w"]
        assert data.arguments_for(tmp_path, "us2mri", more) == ["--bids", str(tmp_path), *more]


class TestDocumentation:
    @pytest.fixture
    def text(self, repository: Path) -> str:
        return (repository / "Resources" / "Docs" / "reproduce.md").read_text(encoding="utf-8")

    def test_every_command_is_one_that_the_program_takes(self, text: str) -> None:
        lines = re.findall(
            r"^(?:srun )?(?:imagetranslation|python -m training_tools\.) ?reproduce (.+)$", text, re.MULTILINE
        )
        assert len(lines) >= 7
        for line in lines:
            parsed = reproduce.parser().parse_args(shlex.split(line))
            reproduce.chosen(parsed)

    def test_the_arrays_have_as_many_jobs_as_there_are_cells_and_translators(self, text: str) -> None:
        own = preset("us2mri", "standard")
        cells = own.folds * sum(path is not None for path in entries("us2mri").values())
        translators = Scheme("nested", sizes_for("us2mri", False).folds)
        count = translators.folds * (1 + translators.inner)
        assert re.findall(r"--array=0-(\d+)", text) == [str(cells - 1), str(count - 1)]
        assert translators.inner == plan.INNER

    def test_no_placeholder_stands_in_it_and_nothing_that_slurm_does_not_do(self, text: str) -> None:
        assert not re.search(r"MEASURED_HERE|TODO|XXX|^#SBATCH --requeue", text, re.MULTILINE)
        assert "--dependency=singleton" in text
        assert "`--alike 1`" in text

    def test_every_step_of_both_studies_is_explained(self, text: str) -> None:
        for task in ("us2mri", "pool2delayed"):
            made = Choices(task, data.PHANTOM, Path("x"), True, sizes_for(task, True), 1)
            for one in plan.steps(made):
                assert f"| `{one.folder}` |" in text, one.folder


def test_the_command_belongs_to_the_program_and_shows_its_help(repository: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "imagetranslation", "reproduce", "--help"], cwd=repository, capture_output=True,
        text=True, env={**os.environ, "COLUMNS": "120"}, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "usage: imagetranslation reproduce" in made.stdout
    assert "--quick" in made.stdout
