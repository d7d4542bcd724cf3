"""Answering a blinded study in the panel: every way to answer, the keyboard, what is on the disk and when.

Simulated readers answer where a whole study is read; the answers are no physicians'.
"""

from __future__ import annotations

import errno
import json
import time

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from readings import EVERY_TYPE, RANKED, REALISM_OF_EACH, Hands  # noqa: E402

from imagetranslation.readerstudy import journal  # noqa: E402
from imagetranslation.readerstudy.definition import load_study  # noqa: E402
from imagetranslation.readerstudy.key import load_key  # noqa: E402
from imagetranslation.readerstudy.questions import CANNOT_ASSESS  # noqa: E402
from imagetranslation.readerstudy.readingset import load_reading_set  # noqa: E402
from imagetranslation.readerstudy.session import open_session  # noqa: E402
from imagetranslation.volume import Volume, write_volume  # noqa: E402
from Testing.simulated_readers import Crowd, Planted  # noqa: E402
from Testing.studies import a_document, a_study  # noqa: E402


@pytest.fixture
def a_small_study(tmp_path):
    return a_study(tmp_path / "s")


@pytest.fixture
def reading(begin_reading, a_small_study):
    return begin_reading(a_small_study)


@pytest.fixture
def every_type(begin_reading, tmp_path):
    return begin_reading(a_study(tmp_path / "s", a_document(cases=2, questions=EVERY_TYPE)))


def _entries(folder, reader="R1"):
    return [json.loads(line) for line in (folder / "reading" / "answers" / f"{reader}.jsonl").read_text().splitlines()]


def _kept(panel):
    return panel.desk.session.answers


def _place(panel, key, *points):
    """Put points where a click in a view puts them: into the node that is being placed."""
    node = slicer.mrmlScene.GetNodeByID(
        slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSelectionNode").GetActivePlaceNodeID()
    )
    for point in points:
        node.AddControlPointWorld(list(point))


class TestEveryTypeOfQuestion:
    def test_nothing_is_answered_before_the_reader_answers(self, every_type):
        assert _kept(every_type) == {}
        form = every_type.form
        for key in ("realism", "artifacts", "plane"):
            assert not any(button.checked for button in form.editor(key).buttons)
        assert "transparent" in form.editor("confidence").scale.styleSheet, "the line has no handle"
        assert form.editor("size").line.text == ""
        assert not form.cannot_assess("realism").checked

    def test_each_input_gives_its_answer_at_once(self, every_type, click, type_text):
        form = every_type.form
        click(form.editor("realism").buttons[3])
        click(form.editor("artifacts").buttons[0])
        click(form.editor("kinds").buttons[1])
        click(form.editor("plane").buttons[0])
        click(form.editor("confidence").scale)
        type_text(form.editor("size").line, "12,5")
        kept = _kept(every_type)
        assert kept["confidence"] == pytest.approx(50, abs=1)
        del kept["confidence"]
        assert kept == {"realism": 4, "artifacts": True, "kinds": ["noise"], "plane": "apex", "size": 12.5}

    def test_a_question_appears_with_its_condition_and_goes_with_its_answer(self, every_type, click):
        form = every_type.form
        assert "kinds" not in form.shown
        click(form.editor("artifacts").buttons[0])
        assert form.editor("kinds").widget.visible
        click(form.editor("kinds").none)
        assert _kept(every_type)["kinds"] == []
        click(form.editor("artifacts").buttons[1])
        assert not form.editor("kinds").widget.visible
        assert "kinds" not in _kept(every_type)
        click(form.editor("artifacts").buttons[0])
        assert not form.editor("kinds").none.checked, "an answer that was hidden does not come back by itself"

    def test_cannot_assess_is_an_answer_and_can_be_taken_back(self, every_type, click):
        form = every_type.form
        click(form.editor("realism").buttons[2])
        click(form.cannot_assess("realism"))
        assert _kept(every_type)["realism"] == CANNOT_ASSESS
        assert not any(button.checked for button in form.editor("realism").buttons)
        click(form.cannot_assess("realism"))
        assert "realism" not in _kept(every_type)
        click(form.editor("realism").buttons[0])
        assert _kept(every_type)["realism"] == 1

    def test_points_and_outlines_are_kept_in_lps_millimetres_of_their_image(self, every_type, click):
        form = every_type.form
        click(form.editor("place").button)
        _place(every_type, "place", (-3.0, -4.0, 5.0))
        click(form.editor("place").button)
        assert _kept(every_type)["place"] == [{"image": "A", "point": [3.0, 4.0, 5.0]}]
        interaction = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLInteractionNode")
        assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
        click(form.editor("outline").button)
        _place(every_type, "outline", (-1, -1, 0), (-2, -1, 0))
        assert "outline" not in _kept(every_type), "two points are no outline"
        _place(every_type, "outline", (-2, -2, 0))
        click(form.editor("outline").button)
        assert _kept(every_type)["outline"] == [{"image": "A", "points": [[1, 1, 0], [2, 1, 0], [2, 2, 0]]}]
        click(form.editor("place").remove)
        assert "place" not in _kept(every_type)
        marks = [n for n in slicer.util.getNodesByClass("vtkMRMLMarkupsNode") if n.GetNumberOfControlPoints()]
        assert [n.GetSaveWithScene() for n in marks] == [0]

    def test_images_are_ranked_by_pressing_the_best_first(self, begin_reading, tmp_path, click):
        primary = {"question": "order", "analysis": "distribution", "hypothesis": "None."}
        document = a_document(cases=1, arms=3, kind="ranking", questions=[RANKED], primary=primary)
        panel = begin_reading(a_study(tmp_path / "s", document))
        buttons = {b.text[-1]: b for b in panel.form.editor("order").buttons}
        click(buttons["B"])
        click(buttons["A"])
        assert _kept(panel) == {}
        click(buttons["C"])
        assert _kept(panel) == {"order": ["B", "A", "C"]}
        assert buttons["B"].text.startswith("1.")
        click(buttons["A"])
        assert _kept(panel) == {}, "half an order is no answer"

    def test_a_comment_is_kept_when_the_typing_stops_or_the_case_is_handed_in(self, every_type, wait_until):
        every_type.form.editor("comment").edit.setPlainText("A dark rim")
        wait_until(lambda: _kept(every_type).get("comment") == "A dark rim", 5)


class TestKeyboard:
    def test_a_case_is_read_with_keys_alone(self, reading, press_key, wait_until, a_small_study):
        first = reading.desk.trial.token
        assert reading.form.active == "realism"
        press_key(None, "4")
        assert reading.form.active == "artifacts"
        press_key(None, "2")
        assert _kept(reading) == {"realism": 4, "artifacts": False}
        press_key(None, "Return")
        wait_until(lambda: reading.desk.trial.token != first and reading.form.shown, 5)
        assert reading.form.active == "realism"
        assert _entries(a_small_study)[-1]["kind"] == "show"

    def test_enter_in_a_number_field_keeps_the_number_first_and_goes_on_when_pressed_again(self, every_type, press_key):
        _fill_in(
            every_type, lambda button: button.click(), lambda item: {"realism": 2, "artifacts": False}.get(item.key)
        )
        token, line = every_type.desk.trial.token, every_type.form.editor("size").line
        line.text = "7"
        press_key(line, "Return")
        assert _kept(every_type)["size"] == 7
        assert every_type.desk.trial.token == token
        assert every_type.ui.readingNotice.text == ""
        press_key(line, "Return")
        assert "is not answered yet" in every_type.ui.readingNotice.text

    def test_arrows_choose_the_question_and_move_along_a_line(self, every_type, press_key):
        press_key(None, "Down")
        assert every_type.form.active == "artifacts"
        press_key(None, "Up")
        assert every_type.form.active == "realism"
        every_type.form.activate("confidence")
        press_key(None, "Right")
        press_key(None, "Right")
        assert _kept(every_type)["confidence"] == 51

    def test_a_number_typed_into_a_field_answers_no_other_question(self, every_type, type_text):
        every_type.form.activate("realism")
        type_text(every_type.form.editor("size").line, "5")
        assert "realism" not in _kept(every_type)
        assert _kept(every_type)["size"] == 5

    def test_the_keys_are_free_again_after_leaving(self, reading, press_key, click, process_events):
        import qt

        click(reading.ui.leaveButton)
        process_events()
        own = [s for s in reading.widget.findChildren("QShortcut") if s.isEnabled()]
        assert own == []
        got = []
        shortcut = qt.QShortcut(qt.QKeySequence("4"), slicer.util.mainWindow())
        shortcut.connect("activated()", lambda: got.append(4))
        press_key(None, "4")
        shortcut.setEnabled(False)
        shortcut.deleteLater()
        assert got == [4]


class TestNextBackPause:
    def test_next_is_refused_with_the_sentence_on_what_is_missing(self, reading, click):
        token = reading.desk.trial.token
        click(reading.ui.nextButton)
        assert reading.ui.readingNotice.text == '"How realistic?" is not answered yet.'
        assert reading.desk.trial.token == token

    def test_back_shows_the_case_before_with_its_answers(self, reading, click, wait_until):
        first = reading.desk.trial.token
        _answer(reading, click)
        click(reading.ui.nextButton)
        wait_until(lambda: reading.form.shown, 5)
        click(reading.ui.backButton)
        wait_until(lambda: reading.desk.trial.token == first and reading.form.shown, 5)
        assert reading.form.editor("realism").buttons[2].checked
        assert not reading.ui.backButton.enabled

    def test_back_is_not_offered_where_the_study_forbids_it(self, begin_reading, tmp_path):
        panel = begin_reading(a_study(tmp_path / "s", a_document(options={"allow_back": False})))
        assert not panel.ui.backButton.visible

    def test_a_pause_blanks_images_and_form_and_stops_the_clock(self, reading, click, slice_pixels, a_small_study):
        shown = slice_pixels("ImageTranslationReadingA")[60:-60, 60:-60].std()
        click(reading.ui.pauseButton)
        assert slice_pixels("ImageTranslationReadingA")[60:-60, 60:-60].std() == 0 < shown
        assert not reading.ui.formFrame.visible
        assert not reading.ui.nextButton.enabled
        before = reading.desk.session.reading_s
        time.sleep(0.05)
        assert reading.desk.session.reading_s == before
        click(reading.ui.pauseButton)
        assert slice_pixels("ImageTranslationReadingA")[60:-60, 60:-60].std() == pytest.approx(shown)
        assert [e["kind"] for e in _entries(a_small_study)][-2:] == ["pause", "resume"]

    def test_a_reader_who_does_nothing_is_told_that_the_clock_stands(self, begin_reading, tmp_path, wait_until):
        panel = begin_reading(a_study(tmp_path / "s", a_document(options={"idle_after_s": 10})))
        panel.desk.session._watch._last -= 60
        panel._seen = None
        panel.onWatch()
        assert "the clock stands" not in panel.ui.progressLabel.text, "the first look counts as a movement"
        panel.desk.session._watch._last -= 60
        panel.onWatch()
        assert "the clock stands" in panel.ui.progressLabel.text
        slicer.app.layoutManager().sliceWidget("ImageTranslationReadingA").sliceLogic().SetSliceOffset(10.0)
        panel.onWatch()
        assert "the clock stands" not in panel.ui.progressLabel.text


class TestKept:
    def test_every_answer_is_on_the_disk_before_the_next_case_is_shown(
        self, reading, click, a_small_study, monkeypatch, wait_until
    ):
        _answer(reading, click)
        token, seen = reading.desk.trial.token, []
        show = type(reading.views).show

        def watched(views, shown_token, *arguments):
            entries = _entries(a_small_study)
            seen.append((shown_token, [e["kind"] for e in entries if e["token"] == token]))
            return show(views, shown_token, *arguments)

        monkeypatch.setattr(type(reading.views), "show", watched)
        click(reading.ui.nextButton)
        wait_until(lambda: seen, 5)
        assert seen[0][0] != token
        assert seen[0][1] == ["show", "answer", "answer", "complete"]
        answer = next(e for e in _entries(a_small_study) if e["kind"] == "answer")
        assert set(answer["view"]["A"]) == {"orientation", "offset_mm", "field_of_view_mm", "window"}

    def test_a_full_disk_keeps_the_answer_on_the_screen_and_it_is_saved_later(
        self, reading, click, a_small_study, monkeypatch, wait_until
    ):
        def full(*_arguments):
            raise OSError(errno.ENOSPC, "No space left on device")

        token = reading.desk.trial.token
        with monkeypatch.context() as broken:
            broken.setattr(journal.os, "write", full)
            click(reading.form.editor("realism").buttons[4])
            assert "disk is full" in reading.ui.readingNotice.text
            assert reading.form.editor("realism").buttons[4].checked
            assert _kept(reading) == {}
            click(reading.ui.nextButton)
            assert "disk is full" in reading.ui.readingNotice.text
            assert reading.desk.trial.token == token
        click(reading.ui.saveButton)
        assert _kept(reading) == {"realism": 5}
        click(reading.form.editor("artifacts").buttons[1])
        click(reading.ui.nextButton)
        assert reading.desk.trial.token != token

    def test_leaving_with_an_answer_that_could_not_be_saved_takes_two_presses(self, every_type, type_text, click):
        type_text(every_type.form.editor("size").line, "300")
        click(every_type.ui.leaveButton)
        assert every_type.reading
        assert "again to leave without this answer" in every_type.ui.readingNotice.text
        assert every_type.form.editor("size").line.text == "300"
        click(every_type.ui.leaveButton)
        assert not every_type.reading

    def test_a_number_out_of_range_stays_on_the_screen_and_is_not_handed_in(self, every_type, type_text, click):
        type_text(every_type.form.editor("size").line, "30")
        type_text(every_type.form.editor("size").line, "300")
        assert "a number from 0 up to 90" in every_type.ui.readingNotice.text
        assert every_type.form.editor("size").line.text == "300"
        click(every_type.ui.nextButton)
        assert "a number from 0 up to 90" in every_type.ui.readingNotice.text
        type_text(every_type.form.editor("size").line, "31")
        assert _kept(every_type)["size"] == 31

    def test_resuming_lands_on_the_case_with_the_half_filled_form(self, begin_reading, reading, click, a_small_study):
        _answer(reading, click)
        click(reading.ui.nextButton)
        click(reading.form.editor("realism").buttons[1])
        token = reading.desk.trial.token
        click(reading.ui.leaveButton)
        assert not reading.reading
        panel = begin_reading(a_small_study)
        assert panel.desk.trial.token == token
        assert [button.checked for button in panel.form.editor("realism").buttons] == [False, True, False, False, False]
        assert panel.ui.progressBar.value == 1

    def test_a_second_window_is_refused_with_the_name_of_the_first_and_may_take_over(
        self,
        begin_reading,
        a_small_study,
        click,
        wait_until,
    ):
        with open_session(a_small_study, "R1") as other:
            panel = begin_reading(a_small_study, waiting=False)
            assert f"R1 is already open on {other.store.holder('R1').host}" in panel.ui.readingNotice.text
            assert not panel.reading
            click(panel.ui.takeOverButton)
            wait_until(lambda: panel.views.slots, 5)
            assert panel.reading
            panel.leave()
            other._writer.close()
            other.close = lambda: None

    def test_a_window_that_was_taken_over_says_so_and_lets_go(self, reading, click, a_small_study, wait_until):
        other = open_session(a_small_study, "R1", take_over=True)
        click(reading.form.editor("realism").buttons[0])
        wait_until(lambda: not reading.reading, 5, "the window to let go")
        assert "taken over" in reading.ui.readingNotice.text
        other.close()

    def test_folder_and_code_are_remembered(self, reading, a_small_study, us2mri_module):
        from imagetranslation.panels.readingpanel import ReadingPanel

        reading.leave()
        other = ReadingPanel()
        assert (other.ui.readingPath.currentPath, other.ui.readerEdit.text) == (str(a_small_study), "R1")
        other.close()

    def test_a_case_without_its_image_says_so_and_names_no_file(self, begin_reading, a_small_study, wait_until):
        made = load_reading_set(a_small_study)
        trial = made.trials("R1")[0]
        made.image_file(trial.images["A"]).unlink()
        panel = begin_reading(a_small_study, waiting=False)
        wait_until(lambda: panel.ui.readingNotice.text, 5)
        assert panel.ui.readingNotice.text.startswith("Image A of case 1 is missing")
        assert ".nii" not in panel.ui.readingNotice.text
        assert not panel.ui.nextButton.enabled

    def test_a_case_without_its_image_is_left_out_and_shown_as_soon_as_the_image_is_back(
        self, begin_reading, a_small_study, click, wait_until, monkeypatch
    ):
        made = load_reading_set(a_small_study)
        files = [made.image_file(trial.images["A"]) for trial in made.trials("R1")]
        kept = [file.read_bytes() for file in files]
        files[0].unlink()
        files[1].unlink()
        panel = begin_reading(a_small_study, waiting=False)
        wait_until(lambda: panel.ui.skipButton.visible, 30)
        click(panel.ui.skipButton)
        wait_until(lambda: "case 2 is missing" in panel.ui.readingNotice.text, 30)
        assert panel.ui.skipButton.visible
        assert not panel.form.shown
        files[1].write_bytes(kept[1])
        for _ in range(20):
            panel.onWatch()
        wait_until(lambda: panel.form.shown, 30, "the image that is back")
        assert not panel.ui.skipButton.visible
        assert panel.ui.readingNotice.text == ""
        assert [e["kind"] for e in _entries(a_small_study) if e["kind"] in ("skip", "complete")] == ["skip"]


class TestSpeed:
    def test_a_case_changes_within_300_ms_and_fetching_never_holds_the_application_for_100(
        self, begin_reading, tmp_path, click, wait_until, main_thread, monkeypatch
    ):
        from Testing import studies

        monkeypatch.setattr(studies, "write_images", _larger_images)
        document = a_document(cases=5, kind="pair", questions=[REALISM_OF_EACH])
        panel = begin_reading(a_study(tmp_path / "s", document))
        view = slicer.app.layoutManager().sliceWidget("ImageTranslationReadingA").sliceView()
        changes, holds = [], []
        for _ in range(3):
            with main_thread.watched() as gaps:
                wait_until(lambda: panel.desk.shelf.ready(panel.desk.session.upcoming), 10, "the next case")
            holds.append(max(gaps))
            for slot in "AB":
                click(panel.form.editor(f"realism@{slot}").buttons[2])
            token = panel.desk.trial.token
            start = time.perf_counter()
            panel.ui.nextButton.click()
            view.forceRender()
            changes.append(time.perf_counter() - start)
            assert panel.desk.trial.token != token
            assert panel.views.slots == ("A", "B")
        print(f"case changes {_ms(changes)}, longest holds while the next was fetched {_ms(holds)}")
        # The best of three: other programs may use this computer meanwhile.
        assert min(changes) < 0.3
        assert min(holds) < 0.1


def _ms(seconds):
    return [f"{1000 * s:.0f} ms" for s in seconds]


class TestWholeStudy:
    @pytest.mark.parametrize("kind", ["single", "pair"])
    def test_a_simulated_reader_reads_a_study_to_its_end(
        self,
        begin_reading,
        tmp_path,
        click,
        wait_until,
        screenshot,
        kind,
    ):
        questions = EVERY_TYPE if kind == "single" else [REALISM_OF_EACH]
        document = a_document(cases=2, readers=2, kind=kind, questions=questions, training=1)
        folder = a_study(tmp_path / "s", document)
        crowd = Crowd(load_study(folder), load_key(folder), Planted(), seed=3)
        reader = crowd.of("R1")
        panel = begin_reading(folder)
        given: dict[str, dict] = {}
        while panel.desk.trial is not None:
            trial = panel.desk.trial
            planned = crowd.key.trials[trial.token][1]
            given[trial.token] = _fill_in(panel, click, lambda item, p=planned: reader.answer(item, p, None))
            click(panel.ui.nextButton)
            wait_until(lambda t=trial: panel.desk.trial is None or (panel.desk.trial is not t and panel.form.shown), 5)
        assert panel.ui.progressLabel.text.startswith("All ")
        assert panel.ui.progressBar.value == panel.ui.progressBar.maximum == len(given)
        click(panel.ui.leaveButton)
        kept: dict[str, dict] = {token: {} for token in given}
        for entry in _entries(folder):
            if entry["kind"] == "answer":
                kept[entry["token"]][entry["question"]] = entry["new"]
        assert kept == given
        with open_session(folder, "R1") as session:
            assert session.trial is None


def _fill_in(panel, click, answer_for):
    """Answer the form as shown, question by question, with clicks; returns what was given."""
    given, asked, hands = {}, set(), Hands(panel, click)
    while left := [item for item in panel.desk.session.form if item.key not in asked]:
        item = left[0]
        asked.add(item.key)
        if item.question.type in ("place", "roi"):
            continue
        value = answer_for(item)
        if value is not None:
            given[item.key] = hands.give(item, value)
    return given


def _answer(panel, click):
    click(panel.form.editor("realism").buttons[2])
    click(panel.form.editor("artifacts").buttons[1])


def _larger_images(folder, document):
    """Volumes as large as a prostate scan's: 40 x 256 x 256 voxels."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for seed, case in enumerate(document["cases"]):
        for number, path in enumerate([case["source"], *case["images"].values()]):
            noise = np.random.default_rng(10 * seed + number).integers(0, 200, (40, 256, 256), dtype=np.uint8)
            write_volume(Volume(noise.astype(np.float32), (0.7, 0.7, 2.0), (7.0, 8.0, 9.0)), folder / path)
