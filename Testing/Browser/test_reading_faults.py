"""What can go wrong at a reading in Chromium: windows, locks, disks, lines, images, servers. No answer is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imagetranslation.browser.reading.desks import Patience
from imagetranslation.readerstudy.readingset import ReadingSet
from imagetranslation.readerstudy.session import Session
from Testing.studies import a_document

from .reading_rooms import Physician, Served, a_reading, served, wait_until

pytestmark = pytest.mark.browser


def test_a_reload_is_not_taken_for_a_second_window(browser, simple: Served) -> None:
    reader = Physician.at(browser, simple.link("R1")).sees_case(1)
    reader.page.evaluate("() => { navigator.sendBeacon = () => true; }")  # the farewell is lost on the way
    reader.page.reload()
    reader.sees_case(1)
    assert simple.kinds("R1") == ["open", "show"]


def test_two_readers_at_once_do_not_meet(browser, simple: Served) -> None:
    first = Physician.at(browser, simple.link("R1")).sees_case(1)
    second = Physician.at(browser, simple.link("R2")).sees_case(1)
    first.choose("realism", "Hardly")
    second.choose("realism", "Entirely")
    first.press("ArrowDown")
    first.choose("artifacts", "No")
    first.page.click("#next")
    first.sees_case(2)
    assert second.page.inner_text("#count").startswith("1 of")
    assert second.question("artifacts").locator("[aria-pressed=true]").count() == 0
    assert simple.standing("R1") == {"realism": 2, "artifacts": False}
    assert simple.standing("R2") == {"realism": 5}


def test_a_page_never_answers_for_another_reader_of_the_same_browser(browser, simple: Served) -> None:
    """A workstation that readers share: tabs of one browser, and so one cookie."""
    first = Physician.at(browser, simple.link("R1")).sees_case(1)
    second = Physician(first.page.context.new_page())
    second.page.goto(simple.link("R2"))
    second.sees_case(1)
    second.page.close()
    wait_until(lambda: simple.kinds("R2")[-1] == "close", "the second reader's page says farewell")
    first.question("realism").get_by_role("button", name="Hardly").click()
    first.told("Another reader's link was opened in this browser since")
    first.page.reload()
    first.told("Another reader's link was opened in this browser since")
    assert simple.answers("R1") == simple.answers("R2") == []
    first.page.goto(simple.link("R1"))  # the same page, with a link behind it
    first.sees_case(1)
    first.is_kept("realism")  # it had stayed in that window
    assert simple.standing("R1") == {"realism": 2}
    assert simple.answers("R2") == []


def test_a_second_window_is_refused_until_it_takes_over(browser, simple: Served) -> None:
    first = Physician.at(browser, simple.link("R1")).sees_case(1)
    first.choose("realism", "Hardly")
    second = Physician.at(browser, simple.link("R1"))
    second.told("R1 is already open in another window (Chrome on Linux, since")
    assert second.page.locator(".question").count() == 0
    second.page.get_by_role("button", name="Take over here").click()
    second.sees_case(1)
    second.is_kept("realism")
    first.question("artifacts").get_by_role("button", name="Yes").click()
    first.told("opened in another window, where it goes on")
    assert first.page.locator(".pane").count() == 0
    assert "artifacts" not in simple.standing("R1")
    first.page.get_by_role("button", name="Take over here").click()
    first.sees_case(1)
    first.is_kept("artifacts")  # it had stayed in that window


def test_a_reading_open_in_another_program_is_refused_by_its_lock(browser, simple: Served) -> None:
    elsewhere = Session(simple.reading, "R1", simple.store)
    reader = Physician.at(browser, simple.link("R1"))
    reader.told("R1 is already open on")
    reader.page.get_by_role("button", name="Take over here").click()
    reader.sees_case(1).choose("realism", "Hardly")
    with pytest.raises(Exception, match="taken over"):
        elsewhere.answer("realism", 5)
    with Session(simple.reading, "R1", simple.store, take_over=True):
        reader.question("artifacts").get_by_role("button", name="Yes").click()
        reader.told("opened in another window")


def test_on_a_full_disk_the_answer_stays_on_the_screen_until_it_is_kept(browser, simple: Served, monkeypatch) -> None:
    import errno

    reader = Physician.at(browser, simple.link("R1")).sees_case(1)
    reader.choose("artifacts", "No")
    full = True
    write = os.write

    def no_space(descriptor: int, content: Any) -> int:
        if full and b'"kind":"answer"' in bytes(content):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content)

    monkeypatch.setattr("imagetranslation.readerstudy.journal.os.write", no_space)
    reader.question("realism").get_by_role("button", name="Mostly").click()
    reader.told("The disk is full")
    assert str(simple.reading.folder) not in reader.page.content()
    assert reader.question("realism").locator("[aria-pressed=true]").inner_text().endswith("Mostly")
    assert reader.question("realism").locator(".mark").inner_text() == "saving"
    reader.press("Enter")
    reader.page.click("#next")
    reader.page.wait_for_timeout(300)
    reader.sees_case(1)
    assert "realism" not in simple.standing("R1")
    full = False
    reader.is_kept("realism")
    assert simple.standing("R1")["realism"] == 4
    wait_until(lambda: reader.message() == "", "the message goes away")
    reader.page.click("#next")
    reader.sees_case(2)


def test_without_a_connection_the_answer_waits_and_survives_a_reload(browser, simple: Served) -> None:
    reader = Physician.at(browser, simple.link("R1")).sees_case(1)
    reader.page.route("**/answer", lambda route: route.abort())
    reader.question("realism").get_by_role("button", name="Mostly").click()
    reader.told("The server cannot be reached")
    reader.page.unroute("**/answer")
    reader.page.reload()
    reader.sees_case(1)
    reader.is_kept("realism")
    assert [a["new"] for a in simple.answers("R1")] == [4]


def test_a_case_whose_image_is_gone_is_said_and_the_answers_stay(browser, simple: Served) -> None:
    trial = simple.reading.trials("R1")[0]
    file = simple.reading.image_file(trial.images["A"])
    content = file.read_bytes()
    file.unlink()
    reader = Physician.at(browser, simple.link("R1"))
    reader.told("Image A of case 1 is missing; tell the coordinator")
    reader.choose("realism", "Mostly")
    file.write_bytes(content)
    reader.sees_case(1)
    wait_until(lambda: reader.message() == "", "the message goes away")


def test_a_case_whose_image_is_gone_can_be_left_out(browser, simple: Served) -> None:
    first, second = simple.reading.trials("R1")[:2]
    simple.reading.image_file(first.images["A"]).unlink()
    reader = Physician.at(browser, simple.link("R1"))
    reader.told("Image A of case 1 is missing")
    reader.page.get_by_role("button", name="Go on without this case").click()
    reader.sees_case(2)
    assert not reader.page.locator("#skip").is_visible()
    assert reader.message() == ""
    assert "skip" in simple.kinds("R1")
    assert [entry["token"] for entry in simple.store.history("R1").entries if entry["kind"] == "show"][
        -1
    ] == second.token
    assert reader.faults == []


def test_a_window_that_fell_silent_gives_the_reader_back_and_takes_them_up_again(browser, tmp_path: Path) -> None:
    reading = a_reading(tmp_path / "study", a_document(cases=2, readers=2))
    with served(reading, patience=Patience(silence_s=0.6, look_s=0.1)) as made:
        reader = Physician.at(browser, made.link("R1")).sees_case(1)
        wait_until(lambda: made.store.holder("R1") is None, "the session is given back")
        reader.question("realism").get_by_role("button", name="Mostly").click()
        reader.is_kept("realism")
        assert made.standing("R1") == {"realism": 4}


def test_a_server_that_is_killed_and_started_again_goes_on_where_it_was(browser, tmp_path: Path) -> None:
    reading = a_reading(tmp_path / "study", a_document(cases=2, readers=2))
    server, links = a_server_process(reading, 0)
    reader = Physician.at(browser, links["R1"]).sees_case(1)
    reader.choose("realism", "Mostly")
    server.kill()
    server.wait()
    reader.question("artifacts").get_by_role("button", name="No").click()
    reader.told("The server cannot be reached")
    server, _ = a_server_process(reading, int(links["R1"].partition("/#")[0].rpartition(":")[2]))
    try:
        reader.is_kept("artifacts")
        reader.is_kept("realism")
        reader.page.click("#next")
        reader.sees_case(2)
        wait_until(lambda: reader.message() == "", "the message goes away")
    finally:
        server.terminate()
        server.wait(20)


def a_server_process(reading: ReadingSet, port: int) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """`study serve` as it is started by hand, and the links it printed."""
    command = [sys.executable, "-u", "-m", "imagetranslation", "study", "serve", str(reading.folder.parent)]
    server = subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert server.stdout is not None
    links = {}
    for line in server.stdout:
        if line.startswith("Serving"):
            return server, links
        reader, _, link = line.strip().partition("  ")
        links[reader] = link.strip()
    pytest.fail(f"the server ended: {links}")


def test_a_wrong_link_is_told_so(browser, simple: Served) -> None:
    reader = Physician.at(browser, f"{simple.address}/#{'0' * 32}")
    reader.told("Open the link you were sent")
    assert Physician.at(browser, simple.address).told("Open the link you were sent") is None
