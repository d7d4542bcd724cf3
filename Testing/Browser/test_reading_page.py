"""Readers in a real Chromium: every type of question, by clicks and by keys, resuming, pictures; and nothing leaks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.readerstudy.checking import verify
from imagetranslation.readerstudy.readingset import ReadingSet, reading_image
from imagetranslation.slices import picture
from Testing.studies import a_document

from .reading_rooms import Physician, Served, a_reading, served, wait_until

pytestmark = pytest.mark.browser


def answer_everything(reader: Physician) -> None:
    """One case of `every_type`, each question in its own way."""
    reader.choose("realism@A", "Mostly")
    reader.choose("realism@B", "Cannot assess")
    reader.choose("artifacts", "Yes")
    reader.choose("kinds", "Blur")
    reader.choose("kinds", "Gap")
    reader.choose("better", "Image B")
    reader.question("order").locator("[data-option=B]").click()
    reader.question("order").locator("[data-option=A]").click()
    reader.is_kept("order")
    track = reader.question("sure").locator(".track")
    box = track.bounding_box()
    track.click(position={"x": box["width"] * 0.25, "y": 10})
    reader.is_kept("sure")
    reader.type("size", "12,5")
    reader.question("lesion").locator(".start").click()
    reader.click_image(1, 0.6, 0.45)
    reader.is_kept("lesion")
    reader.question("lesion").locator(".start").click()
    reader.question("edge").locator(".start").click()
    for across, down in ((0.4, 0.4), (0.6, 0.4), (0.5, 0.6)):
        reader.click_image(2, across, down)
    reader.press("Enter")
    reader.is_kept("edge")
    reader.type("comment", "Nothing else")


def test_every_type_of_question_is_answered_and_kept(browser, every: Served) -> None:
    reader = Physician.at(browser, every.link("R1")).sees_case(1)
    assert reader.page.locator(".choice[aria-pressed=true], .handle:not([hidden]), .marks li").count() == 0
    assert reader.question("kinds").count() == 0
    answer_everything(reader)
    kept = every.standing("R1")
    lesion, edge, sure = kept.pop("lesion"), kept.pop("edge"), kept.pop("sure")
    assert kept == {
        "realism@A": 4, "realism@B": {"cannot_assess": True}, "artifacts": True, "kinds": ["blur", "gap"],
        "better": "B", "order": ["B", "A"], "size": 12.5, "comment": "Nothing else",
    }  # fmt: skip
    assert sure == pytest.approx(25, abs=1)
    assert [mark["image"] for mark in lesion] == ["A"]
    assert [(mark["image"], len(mark["points"])) for mark in edge] == [("B", 3)]
    reader.press("Escape")
    reader.page.click("#next")
    reader.sees_case(2)
    assert reader.page.locator(".choice[aria-pressed=true], .handle:not([hidden]), .marks li").count() == 0
    assert reader.faults == []


def test_both_ends_of_a_scale_can_be_hit_and_a_drag_sets_it_once(browser, every: Served) -> None:
    reader = Physician.at(browser, every.link("R1")).sees_case(1)
    track = reader.question("sure").locator(".track")
    track.scroll_into_view_if_needed()
    box = track.bounding_box()
    for x, value in ((box["x"] - 4, 0), (box["x"] + box["width"] + 4, 100)):
        reader.page.mouse.click(x, box["y"] + 12)
        wait_until(lambda value=value: every.standing("R1").get("sure") == value, f"{value} is kept")
    reader.page.mouse.down()
    reader.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40, steps=5)
    reader.page.mouse.up()
    wait_until(lambda: every.standing("R1")["sure"] == pytest.approx(50, abs=1), "the middle is kept")
    middle = every.standing("R1")["sure"]
    track.press("ArrowLeft")
    wait_until(lambda: every.standing("R1")["sure"] == pytest.approx(middle - 1), "a key moves it by one")
    assert len(every.answers("R1")) == 4


def test_four_images_are_ranked_by_drag(browser, tmp_path: Path) -> None:
    questions = [*a_document()["questions"], {"id": "order", "type": "ranking", "text": "Rank the images"}]
    document = a_document(cases=2, readers=2, arms=4, kind="ranking", questions=questions)
    with served(a_reading(tmp_path / "study", document)) as made:
        reader = Physician.at(browser, made.link("R1")).sees_case(1)
        assert reader.page.evaluate("() => getComputedStyle(panes).gridTemplateColumns.split(' ').length") == 2
        box = reader.question("order")
        for option in "CADB":
            box.locator(f"[data-option={option}]").click()
        reader.is_kept("order")
        assert made.standing("R1")["order"] == ["C", "A", "D", "B"]
        box.locator("[data-option=B]").scroll_into_view_if_needed()
        last, first = (box.locator(f"[data-option={one}] .words").bounding_box() for one in "BC")
        reader.page.mouse.move(last["x"] + 5, last["y"] + 5)
        reader.page.mouse.down()
        reader.page.mouse.move(first["x"] + 5, first["y"] - 6, steps=8)
        reader.page.mouse.up()
        wait_until(lambda: made.standing("R1")["order"] == ["B", "C", "A", "D"], "the last is the first")
        box.get_by_label("Image C: one place worse").click()
        wait_until(lambda: made.standing("R1")["order"] == ["B", "A", "C", "D"], "two changed places")
        box.get_by_role("button", name="Start over").click()
        wait_until(lambda: made.standing("R1")["order"] is None, "the ranking is taken back")
        assert box.locator(".unranked").count() == 4


def test_a_mark_lies_where_it_was_put(browser, every: Served) -> None:
    """The middle of the picture is the middle of the volume across, which preparing put at the origin."""
    reader = Physician.at(browser, every.link("R1")).sees_case(1)
    reader.press("ArrowDown")  # from slice 3 of 5 to slice 4: one slice of 2 mm towards the head
    reader.question("lesion").locator(".start").click()
    reader.click_image(1, 0.5, 0.5)
    reader.is_kept("lesion")
    (mark,) = every.standing("R1")["lesion"]
    assert mark["point"] == pytest.approx([0, 0, 2], abs=0.2)
    assert "Image A, slice 4" in reader.question("lesion").inner_text()
    reader.page.reload()
    reader.sees_case(1)
    assert "Image A, slice 4" in reader.question("lesion").inner_text()
    reader.question("lesion").get_by_label("Remove mark 1").click()
    wait_until(lambda: every.standing("R1")["lesion"] is None, "the mark is taken back")


def test_a_whole_study_is_read_by_keys_alone(browser, simple: Served) -> None:
    reader = Physician.at(browser, simple.link("R2")).sees_case(1)
    total = len(simple.reading.trials("R2"))
    for number in range(1, total + 1):
        reader.sees_case(number)
        yes = number % 2 == 1
        # Faster than any answer comes back: realism 4, artifacts, and where there are any, their severity.
        reader.press("4", "Enter", "1" if yes else "2", *(["Enter", "2"] if yes else []), "Enter")
    reader.told("Thank you")
    answers = simple.answers("R2")
    assert [a["new"] for a in answers if a["question"] == "realism"] == [4] * total
    assert [a["new"] for a in answers if a["question"] == "severity"] == [2] * ((total + 1) // 2)
    assert [row["severity"] for row in verify(simple.reading, simple.store) if row["severity"] == "error"] == []
    assert reader.faults == []


def test_enter_leads_to_a_question_that_has_just_come_up_between_others(browser, every: Served) -> None:
    reader = Physician.at(browser, every.link("R1")).sees_case(1)
    reader.press("4", "Enter", "5", "Enter", "1", "Enter", "1", "3", "Enter", "b", "Enter", "2", "1", "Enter", "7")
    wait_until(lambda: every.standing("R1").get("sure") == 70, "the last key was heard")
    assert every.standing("R1") == {
        "realism@A": 4, "realism@B": 5, "artifacts": True, "kinds": ["blur", "gap"], "better": "B",
        "order": ["B", "A"], "sure": 70,
    }  # fmt: skip


def test_images_of_one_case_never_stand_beside_the_questions_of_another(browser, simple: Served) -> None:
    reader = Physician(browser.new_context(viewport={"width": 1280, "height": 720}).new_page())
    reader.page.goto(simple.link("R1"))
    reader.sees_case(1)
    first = reader.pixels()
    reader.page.evaluate("() => { const ask = window.fetch; window.fetch = async (...a) => {"
                         "if (String(a[0]).startsWith('images/')) await new Promise(go => setTimeout(go, 1500));"
                         "return ask(...a); }; }")  # fmt: skip
    for number in (2, 3):  # the second was fetched ahead, the third comes late
        reader.press("3", "Enter", "2", "Enter")
        reader.page.wait_for_function(
            "n => document.getElementById('count').textContent.startsWith(n)", arg=f"{number} of"
        )
        if number == 3:
            assert reader.page.locator(".pane").count() == 0
            reader.told("The images are being fetched")
        reader.sees_case(number)
        second = reader.pixels()
        assert np.abs(second - first).mean() > 5
        first = second


def test_a_reload_comes_back_to_the_case_and_the_half_filled_form(browser, simple: Served) -> None:
    reader = Physician.at(browser, simple.link("R1")).sees_case(1)
    reader.press("3", "Enter", "2", "Enter")
    reader.sees_case(2)
    reader.choose("realism", "Entirely")
    reader.question("comment").locator("textarea").fill("half a sent")
    reader.page.reload()  # before the text was sent
    reader.sees_case(2)
    assert reader.question("realism").locator("[aria-pressed=true]").inner_text().endswith("Entirely")
    reader.is_kept("comment")
    assert reader.question("comment").locator("textarea").input_value() == "half a sent"
    assert reader.question("artifacts").locator("[aria-pressed=true]").count() == 0
    assert simple.standing("R1")["comment"] == "half a sent"


def test_conditional_questions_come_and_go_and_required_ones_hold_the_case(browser, simple: Served) -> None:
    reader = Physician.at(browser, simple.link("R1")).sees_case(1)
    reader.choose("artifacts", "Yes")
    reader.choose("severity", "Strong")
    reader.choose("artifacts", "No")
    reader.question("severity").wait_for(state="detached")
    assert simple.standing("R1")["severity"] is None
    reader.page.click("#next")
    reader.told("This question is not answered yet.")
    assert reader.question("realism").evaluate("q => q.classList.contains('active')")
    reader.sees_case(1)
    assert "complete" not in simple.kinds("R1")


def test_pausing_hides_the_images_saving_stays_and_back_leads_back(browser, simple: Served) -> None:
    reader = Physician.at(browser, simple.link("R1")).sees_case(1)
    reader.press("3", "Enter", "2", "Enter")
    reader.sees_case(2)
    reader.page.click("#pause")
    reader.told("The clock stands still")
    assert not reader.page.locator(".pane canvas").first.is_visible()
    reader.page.get_by_role("button", name="Go on").click()
    reader.page.locator(".pane canvas").first.wait_for()
    reader.page.click("#save")
    reader.told("Saved.")
    reader.page.click("#back")
    reader.sees_case(1)
    reader.is_kept("realism")
    reader.choose("realism", "Hardly")
    assert simple.standing("R1")["realism"] == 2
    assert [k for k in simple.kinds("R1") if k in ("pause", "resume", "save")] == ["pause", "resume", "save"]


def sampled_at(drawn: np.ndarray, size: Sequence[int], spacing_mm: Sequence[float]) -> np.ndarray:
    """What is drawn at the centre of each voxel (row, column) of a picture that fills its pane."""
    scale = min(across / (count * mm) for across, count, mm in zip(drawn.shape, size, spacing_mm))
    centres = [
        across / 2 + scale * mm * (np.arange(count) + 0.5 - count / 2)
        for across, count, mm in zip(drawn.shape, size, spacing_mm)
    ]
    assert scale * min(spacing_mm) > 3
    return drawn[np.ix_(*[np.round(centre - 0.5).astype(int) for centre in centres])]


def test_the_picture_is_the_image_and_says_that_it_is_a_study_reading(browser, simple: Served) -> None:
    reader = Physician.at(browser, simple.link("R1")).sees_case(1)
    trial = simple.reading.trials("R1")[0]
    volume = reading_image(simple.reading, trial, "A")
    sampled = sampled_at(reader.pixels(), volume.array.shape[1:], volume.spacing[1::-1])[8:-4, 4:-4]  # words at edges
    wanted = volume.array[2].astype(float)[8:-4, 4:-4] / 4095 * 255
    assert np.median(np.abs(sampled - wanted)) < 6
    words = reader.page.get_by_role("img").first.get_attribute("aria-label")
    assert words == "Image. STUDY READING, not for diagnosis"
    yellow = reader.page.evaluate(
        """() => { const c = document.querySelector('.pane canvas'); const d = c.getContext('2d')
          .getImageData(0, 25, 260, 20).data; let n = 0;
          for (let i = 0; i < d.length; i += 4) if (d[i] > 180 && d[i + 2] < 120) n++; return n; }"""
    )
    assert yellow > 100


def test_the_reader_chooses_the_plane_of_all_pictures(browser, every: Served) -> None:
    reader = Physician.at(browser, every.link("R2")).sees_case(1)
    planes = reader.page.locator("#planes button")
    assert planes.all_inner_texts() == ["Axial", "Sagittal", "Coronal"]
    trial = every.reading.trials("R2")[0]
    for plane, count in (("coronal", 48), ("sagittal", 60), ("axial", 5)):
        if plane == "sagittal":
            planes.filter(has_text="Sagittal").click()
        else:
            reader.press("v", "v")
        assert reader.page.locator("#planes [aria-pressed=true]").inner_text().lower() == plane
        middle = (count - 1) // 2
        assert reader.page.inner_text("#slicetext") == f"Slice {middle + 1} of {count}"
        for pane, slot in enumerate(("source", "A", "B")):
            shown = picture(reading_image(every.reading, trial, slot), plane, middle)
            mm = (shown.height_mm / shown.pixels.shape[0], shown.width_mm / shown.pixels.shape[1])
            sampled = sampled_at(reader.pixels(pane), shown.pixels.shape, mm)
            wanted = shown.pixels.astype(float) / 4095 * 255
            inner = (slice(1, -1), slice(6, -6))  # words stand at the edges
            assert np.median(np.abs(sampled[inner] - wanted[inner])) < 8, (plane, slot)
    planes.filter(has_text="Coronal").click()
    reader.choose("artifacts", "No")
    assert every.answers("R2")[-1]["view"]["plane"] == "coronal"
    assert reader.faults == []


def test_every_case_starts_in_the_plane_of_the_study(browser, simple: Served) -> None:
    reader = Physician.at(browser, simple.link("R1")).sees_case(1)
    reader.press("v")
    pressed = reader.page.locator("#planes [aria-pressed=true]")
    assert pressed.inner_text() == "Sagittal"
    reader.press("3", "Enter", "2", "Enter")
    reader.sees_case(2)
    assert pressed.inner_text() == "Axial"


def test_leafing_zoom_and_window_move_all_pictures_together(browser, every: Served) -> None:
    reader = Physician.at(browser, every.link("R1")).sees_case(1)
    assert reader.page.inner_text("#slicetext") == "Slice 3 of 5"
    before = [reader.pixels(n) for n in range(3)]
    reader.page.locator(".pane").nth(1).hover()
    reader.page.mouse.wheel(0, 100)
    assert reader.page.inner_text("#slicetext") == "Slice 4 of 5"
    leafed = [reader.pixels(n) for n in range(3)]
    assert all(np.abs(a - b).mean() > 5 for a, b in zip(before, leafed))
    box = reader.page.locator(".pane").nth(0).bounding_box()
    reader.page.mouse.move(box["x"] + 50, box["y"] + 150)
    reader.page.mouse.down()
    reader.page.mouse.move(box["x"] + 50, box["y"] + 250, steps=4)
    reader.page.mouse.up()
    assert all(b.sum() > 1.1 * a.sum() for a, b in zip(leafed, [reader.pixels(n) for n in range(3)]))
    reader.press("r")
    assert all((reader.pixels(n) == leafed[n]).all() for n in range(3))


def test_nothing_that_crosses_the_line_tells_which_image_is_which(browser, every: Served) -> None:
    seen: list[tuple[str, str]] = []
    reader = Physician(browser.new_context(viewport={"width": 1280, "height": 720}).new_page())

    def note(response: Any) -> None:
        text = [json.dumps(response.all_headers()), json.dumps(response.request.all_headers())]
        body = response.body().decode("latin-1") if response.status != 303 else ""
        seen.append((response.url, "\n".join([response.url, response.request.post_data or "", *text, body])))

    reader.page.on("requestfinished", lambda request: note(request.response()))
    reader.page.goto(every.link("R1"))
    for number in (1, 2):
        reader.sees_case(number)
        answer_everything(reader)
        reader.press("Escape")
        reader.page.click("#next")
    reader.sees_case(3)
    reader.page.click("#back")
    reader.sees_case(2)
    cookies = json.dumps(reader.page.context.cookies())
    assert len(seen) > 30
    assert sum("/images/" in url for url, _ in seen) >= 3
    root = every.reading.folder.parent
    secrets = ["scanner", "model1", "patient", ".nii", str(root), root.name + "/", every.tokens["R2"]]
    secrets += list(every.reading.document["images"]) + list(every.reading.document["images"].values())
    found = {s for s in secrets for _, text in [*seen, ("cookies", cookies)] if s.lower() in text.lower()}
    assert found == set()
    # The link's own token goes over the line once, in the body that exchanges it for a cookie.
    assert [url for url, text in seen if every.tokens["R1"] in text] == [f"{every.address}/enter"]


def test_the_page_asks_no_other_machine_and_its_policy_would_not_let_it(browser, simple: Served) -> None:
    reader = Physician(browser.new_context().new_page())
    asked: list[str] = []
    reader.page.on("request", lambda request: asked.append(request.url))
    reader.page.goto(simple.link("R1"))
    reader.sees_case(1)
    assert [url for url in asked if not url.startswith(simple.address)] == []
    refused = reader.page.evaluate("() => fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    assert "#" not in reader.page.url  # neither history nor a screenshot of the address bar shows the token
    assert reader.page.evaluate("() => document.cookie") == ""


def test_a_bone_scan_is_shown_dark_on_white_with_its_one_slice(browser, tmp_path: Path) -> None:
    display = {"kind": "source_synthetic", "layout": "Coronal", "inverted": True}
    reading = a_reading(tmp_path / "study", a_document(cases=2, readers=2, display=display), (90, 1, 40))
    with served(reading) as made:
        reader = Physician.at(browser, made.link("R1")).sees_case(1)
        assert not reader.page.locator("#slicebar").is_visible()
        volume = reading_image(reading, reading.trials("R1")[0], "A")
        drawn = reader.pixels(1)
        middle = drawn[drawn.shape[0] // 2 - 50 : drawn.shape[0] // 2 + 50, drawn.shape[1] // 2 - 20 :][:, :40]
        assert middle.mean() == pytest.approx(255 * (1 - volume.array.mean() / 4095), abs=40)
        assert (drawn[:, 0] == 0).all()  # beside the picture it stays dark
        reader.choose("realism", "Mostly")


def test_a_finger_leafs_and_two_zoom(browser, simple: Served) -> None:
    page = browser.new_context(viewport={"width": 1280, "height": 720}, has_touch=True).new_page()
    reader = Physician(page)
    page.goto(simple.link("R1"))
    reader.sees_case(1)
    touch = """([id, type, x, y]) => { const c = document.querySelector('.pane canvas');
      c.setPointerCapture = () => {}; c.dispatchEvent(new PointerEvent(type, { pointerId: id, pointerType: 'touch',
        clientX: x, clientY: y, bubbles: true, cancelable: true })); }"""
    for what, y in (("pointerdown", 300), ("pointermove", 320), ("pointermove", 326), ("pointerup", 326)):
        page.evaluate(touch, [7, what, 300, y])
    assert page.inner_text("#slicetext") == "Slice 5 of 5"
    before = reader.pixels()
    for n, what, x in (
        (7, "pointerdown", 300),
        (8, "pointerdown", 400),
        (8, "pointermove", 600),
        (7, "pointerup", 300),
    ):
        page.evaluate(touch, [n, what, x, 300])
    assert np.abs(reader.pixels() - before).mean() > 5
    assert page.inner_text("#slicetext") == "Slice 5 of 5"


def test_silence_is_noticed(browser, tmp_path: Path) -> None:
    document = a_document(cases=2, readers=2, options={"idle_after_s": 5})
    with served(a_reading(tmp_path / "study", document)) as made:
        reader = Physician.at(browser, made.link("R1")).sees_case(1)
        reader.told("the clock stands still")
        reader.page.mouse.move(300, 300)
        wait_until(lambda: reader.message() == "", "the message goes away")


def test_a_study_of_two_sessions_goes_on_in_the_second(browser, tmp_path: Path) -> None:
    document = a_document(cases=2, readers=2, sessions={"count": 2, "washout_days": 0})
    reading: ReadingSet = a_reading(tmp_path / "study", document)
    with served(reading) as made:
        reader = Physician.at(browser, made.link("R1")).sees_case(1)
        first = sum(trial.session == 1 for trial in reading.trials("R1"))
        for number in range(1, first + 1):
            reader.sees_case(number).press("3", "Enter", "2", "Enter")
        reader.told("Session 1 of 2 is done")
        reader.page.get_by_role("button", name="Go on").click()
        reader.sees_case(first + 1)
        assert "Session 2 of 2" in reader.page.inner_text("#tags")
