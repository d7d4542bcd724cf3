"""The page in a real Chromium: opened, leafed through, compared, switched; pictures and words checked together.

Screenshots of the main states are left in pytest's temporary folder (`screenshots*`).
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from imagetranslation.browser.page import NOT_FOR_DIAGNOSIS
from imagetranslation.mrml.corner import AMBER

from .conftest import a_server
from .serving import NOTE

pytestmark = pytest.mark.browser

CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
MARK = "SYNTHETIC: stand-in 0.0.1"


@pytest.fixture(scope="module")
def address(drawing, prostate_pairs: Path, repository: Path) -> Iterator[str]:
    """Where the page is, as the server printed it."""
    with a_server(repository, str(prostate_pairs)) as printed:
        yield printed


class Reader:
    """A radiologist at the page: what they do and what they see."""

    def __init__(self, page, folder: Path) -> None:
        self.page, self._folder = page, folder

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.wait()

    def click(self, selector: str) -> None:
        self.page.click(selector)
        self.wait()

    def wait(self) -> None:
        """Until the pictures have stood still for 0.35 s and through six questions to the server.

        The questions stretch the wait where the machine is busy: each is answered after what the server had to draw.
        """
        deadline, still, asked, last = time.monotonic() + 30, time.monotonic(), 0, None
        while time.monotonic() < deadline:
            self.page.evaluate("() => window.trame.trigger('viewer_key', ['no such key'])")
            sources = self._sources()
            if sources != last:
                still, asked, last = time.monotonic(), 0, sources
            elif sources and asked >= 6 and time.monotonic() - still > 0.35:
                return
            asked += 1
            time.sleep(0.03)
        pytest.fail("the pictures never came to rest")

    def until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail(f"never happened: {what}")
            time.sleep(0.03)

    def _sources(self) -> list[str]:
        return self.page.evaluate("() => [...document.querySelectorAll('.it-view img')].map(i => i.src)")

    def pictures(self) -> list[np.ndarray]:
        """What each view shows: (row, column, RGB)."""
        from PIL import Image

        data: list[str] = []

        def all_read() -> bool:
            """A picture that gives way to the next while it is read comes as nothing."""
            data[:] = self.page.evaluate(
                """() => Promise.all([...document.querySelectorAll('.it-view img')].map(async i => {
                    const answer = await fetch(i.src).catch(() => null);
                    const bytes = new Uint8Array(answer ? await answer.arrayBuffer() : 0);
                    return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ''));
                }))"""
            )
            return all(data)

        self.until(all_read, "every view has a picture")
        return [np.asarray(Image.open(io.BytesIO(base64.b64decode(d))).convert("RGB")).astype(int) for d in data]

    def sees(self, holds: Callable[[list[np.ndarray]], bool]) -> bool:
        """Whether the pictures are so, at once or within 5 s: a busy machine draws late."""
        deadline = time.monotonic() + 5
        while not (so := holds(self.pictures())) and time.monotonic() < deadline:
            time.sleep(0.1)
        return so

    def labels(self) -> list[str]:
        """The accessible words of each view."""
        return self.page.eval_on_selector_all(".it-view", "views => views.map(v => v.getAttribute('aria-label'))")

    def slice_text(self) -> str:
        return self.page.inner_text("#it-slice-text")

    def number(self) -> int:
        return int(self.slice_text().split()[1])

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def middle(self, view: int) -> tuple[float, float]:
        box = self.page.locator(f"#it-view-{view}").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def screenshot(self, name: str) -> None:
        self.page.screenshot(path=self._folder / f"{name}.png")


@pytest.fixture(scope="module")
def requested() -> list[str]:
    """Addresses the page asked for."""
    return []


@pytest.fixture(scope="module")
def the_reader(address, requested, tmp_path_factory) -> Iterator[Reader]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium; on Debian, as root: apt-get install -y chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 860})
        page.on("request", lambda request: requested.append(request.url))
        page.goto(address)
        page.wait_for_selector(".it-view img", timeout=30000)
        yield Reader(page, tmp_path_factory.mktemp("screenshots"))
        browser.close()


@pytest.fixture
def a_reader(the_reader) -> Reader:
    """At the first case, axial, side by side, middle slice, nothing zoomed or brightened."""
    the_reader.page.keyboard.press("Escape")
    if the_reader.text("#it-case-name") != "case16":
        the_reader.click(".it-case:has-text('case16')")
        the_reader.until(lambda: the_reader.text("#it-case-name") == "case16", "case16 is shown")
    the_reader.press("b", "2", "1", "r")
    return the_reader


def amber(picture: np.ndarray) -> int:
    corner = picture[:60]
    return int((np.abs(corner - np.round(255 * np.array(AMBER))).sum(axis=2) < 60).sum())


def changed(before: list[np.ndarray], after: list[np.ndarray]) -> list[bool]:
    return [bool(a.shape != b.shape or (a[60:] != b[60:]).any()) for a, b in zip(before, after)]


def alike(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    return all(a.shape == b.shape and np.abs(a - b).max() <= 2 for a, b in zip(before, after))


def test_source_synthetic_and_reference_are_shown_and_named(a_reader):
    a_reader.screenshot("side-by-side")
    pictures = a_reader.pictures()
    assert len(pictures) == 3
    assert all(picture[60:].std() > 10 for picture in pictures)
    assert a_reader.labels() == ["source · US", MARK, "reference (real) · MR"]
    assert a_reader.slice_text() == "Axial 21 / 41"


def test_the_mark_is_in_the_picture_of_the_synthetic_view_and_in_no_other(a_reader):
    assert a_reader.sees(lambda now: [amber(picture) > 150 for picture in now] == [False, True, False])


def test_the_wheel_changes_all_pictures_together_and_back_again(a_reader):
    a_reader.page.mouse.move(*a_reader.middle(0))
    before = a_reader.pictures()
    a_reader.page.mouse.wheel(0, -100)
    a_reader.until(lambda: a_reader.number() == 22, "the next slice")
    a_reader.wait()
    assert a_reader.sees(lambda now: changed(before, now) == [True, True, True])
    a_reader.page.mouse.move(*a_reader.middle(1))
    a_reader.page.mouse.wheel(0, 100)
    a_reader.until(lambda: a_reader.number() == 21, "the slice before")
    a_reader.wait()
    assert a_reader.sees(lambda now: alike(before, now))


def test_the_slider_reaches_the_slice_the_keys_reach(a_reader):
    before = a_reader.pictures()
    box = a_reader.page.locator("#it-slice").locator("xpath=ancestor-or-self::*[contains(@class,'v-slider')][1]")
    track = box.locator(".v-slider-track").bounding_box()
    a_reader.page.mouse.click(track["x"] + track["width"] * 0.8, track["y"] + track["height"] / 2)
    a_reader.until(lambda: a_reader.number() == 33, "slice 33 of 41")
    assert a_reader.sees(lambda now: changed(before, now) == [True, True, True])
    a_reader.wait()
    by_slider = a_reader.pictures()
    a_reader.press("ArrowDown", "ArrowUp")
    assert a_reader.number() == 33
    assert a_reader.sees(lambda now: alike(by_slider, now))
    a_reader.press(*["ArrowDown"] * 12)
    assert a_reader.number() == 21
    assert a_reader.sees(lambda now: alike(before, now))


def test_keys_leaf_in_ones_fives_and_to_the_ends(a_reader):
    steps = [("ArrowUp", 22), ("ArrowDown", 21), ("PageUp", 26), ("PageDown", 21), ("Home", 41), ("End", 1)]
    for key, number in steps:
        a_reader.page.keyboard.press(key)
        a_reader.until(lambda number=number: a_reader.number() == number, f"{key} leads to {number}")


def test_planes_are_chosen_by_button_and_by_key(a_reader):
    axial = a_reader.pictures()
    a_reader.click("#it-plane-coronal")
    assert a_reader.slice_text() == "Coronal 30 / 59"
    assert a_reader.sees(lambda now: changed(axial, now) == [True, True, True])
    assert [a_reader.text(f"#it-view-0 .it-{side}") for side in ("left", "right", "top", "bottom")] == list("RLSI")
    a_reader.press("2")
    assert a_reader.slice_text() == "Sagittal 23 / 44"
    assert [a_reader.text(f"#it-view-0 .it-{side}") for side in ("left", "right", "top", "bottom")] == list("APSI")
    a_reader.press("1")
    assert a_reader.sees(lambda now: alike(axial, now))


def test_fading_goes_from_source_to_synthetic_and_names_what_is_seen(a_reader):
    a_reader.click("#it-mode-fade")
    assert a_reader.labels() == [f"{MARK}\nsource · US"]
    assert a_reader.sees(lambda now: amber(now[0]) > 150)
    a_reader.screenshot("fade")
    half = a_reader.pictures()
    a_reader.press("Space")
    synthetic = a_reader.pictures()
    a_reader.press("s")
    assert a_reader.labels() == ["source · US"]
    assert a_reader.sees(lambda now: amber(now[0]) == 0)
    source = a_reader.pictures()
    assert changed(source, synthetic) == changed(source, half) == [True]
    mixture = (source[0][60:] + synthetic[0][60:]) / 2
    assert np.abs(half[0][60:] - mixture).mean() < 12
    a_reader.click("#it-partner-reference")
    assert a_reader.labels() == ["reference (real) · MR"]
    a_reader.click("#it-partner-source")
    a_reader.press("Space")


def test_the_checkerboard_is_marked_and_swaps_its_squares(a_reader):
    a_reader.click("#it-mode-checkerboard")
    a_reader.screenshot("checkerboard")
    before = a_reader.pictures()
    assert amber(before[0]) > 150
    assert a_reader.labels() == [f"{MARK}\nsource · US"]
    a_reader.press("Space")
    assert a_reader.sees(lambda now: changed(before, now) == [True])
    assert a_reader.sees(lambda now: amber(now[0]) > 150)
    a_reader.press("Space")
    assert a_reader.sees(lambda now: alike(before, now))


def test_the_difference_is_coloured_marked_and_explained(a_reader):
    a_reader.click("#it-mode-difference")
    a_reader.screenshot("difference")
    assert a_reader.labels() == [MARK, "reference (real) · MR", f"{MARK}\ndifference: synthetic minus reference"]
    synthetic, reference, difference = a_reader.pictures()
    assert amber(difference) > 150
    grey, coloured = (np.abs(p[60:, :, 0] - p[60:, :, 2]).max() for p in (reference, difference))
    assert grey == 0
    assert coloured > 20
    assert "default window" in a_reader.text("#it-legend")
    assert synthetic[60:].std() > 10


def test_the_uncertainty_is_laid_over_marked_and_explained_and_its_strength_set(a_reader):
    a_reader.press("u")
    a_reader.screenshot("uncertainty")
    assert a_reader.labels() == ["source · US", MARK, f"{MARK}\nstandard deviation, grey values"]
    coloured = a_reader.pictures()[2].astype(int)
    assert (coloured.max(axis=2) - coloured.min(axis=2) > 60).mean() > 0.05
    legend = a_reader.text("#it-uncertainty-legend")
    assert "18 patients" in legend
    assert "\N{GREATER-THAN OR EQUAL TO}" in legend
    a_reader.page.evaluate("() => window.trame.state.set('opacity', 0)")
    a_reader.wait()
    clear = a_reader.pictures()[2].astype(int)
    assert (clear.max(axis=2) - clear.min(axis=2) > 60).mean() < 0.02
    a_reader.page.evaluate("() => window.trame.state.set('opacity', 0.5)")
    a_reader.press("n")
    a_reader.until(lambda: a_reader.text("#it-case-name") == "case17", "the case without a map is shown")
    a_reader.wait()
    assert a_reader.page.is_disabled("#it-mode-uncertainty")
    assert len(a_reader.pictures()) == 2


def test_space_swaps_the_two_images_in_place(a_reader):
    source, synthetic, _ = a_reader.pictures()
    a_reader.press("Space")
    assert a_reader.labels()[:2] == [MARK, "source · US"]
    assert a_reader.sees(lambda now: alike([synthetic, source], now[:2]))
    a_reader.press("Space")


def test_dragging_changes_the_window_of_that_image_only_and_reset_undoes_it(a_reader):
    def windows() -> list[str]:
        return [a_reader.text(f"#it-window-text-{image}") for image in ("source", "synthetic", "reference")]

    before, pictures = windows(), a_reader.pictures()
    x, y = a_reader.middle(1)
    a_reader.page.mouse.move(x, y)
    a_reader.page.mouse.down()
    a_reader.page.mouse.move(x + 60, y + 40, steps=4)
    a_reader.page.mouse.up()
    a_reader.until(lambda: windows() != before, "the window changed")
    a_reader.wait()
    assert [a == b for a, b in zip(windows(), before)] == [True, False, True]
    assert a_reader.sees(lambda now: changed(pictures, now) == [False, True, False])
    a_reader.click("#it-window-reset-synthetic")
    assert windows() == before
    assert a_reader.sees(lambda now: alike(pictures, now))


def test_zooming_one_view_zooms_all_and_r_undoes_it(a_reader):
    pictures = a_reader.pictures()
    x, y = a_reader.middle(0)
    a_reader.page.mouse.move(x, y)
    a_reader.page.mouse.down(button="right")
    a_reader.page.mouse.move(x, y + 80, steps=4)
    a_reader.page.mouse.up(button="right")
    a_reader.wait()
    assert a_reader.sees(lambda now: changed(pictures, now) == [True, True, True])
    a_reader.press("r")
    assert a_reader.sees(lambda now: alike(pictures, now))


def test_another_case_is_shown_by_click_and_by_key_and_highlighted(a_reader):
    first = a_reader.pictures()
    a_reader.click(".it-case:has-text('case17')")
    a_reader.until(lambda: a_reader.text("#it-case-name") == "case17", "case17 is shown")
    a_reader.wait()
    assert a_reader.labels() == ["source · US", MARK]
    assert a_reader.text(".it-case.v-list-item--active") == "case17"
    assert a_reader.sees(lambda now: amber(now[1]) > 150)
    difference = a_reader.page.locator("#it-mode-difference")
    assert difference.is_disabled()
    assert "US and MR" in difference.get_attribute("title")
    a_reader.page.keyboard.press("p")
    a_reader.until(lambda: a_reader.text("#it-case-name") == "case16", "the case before")
    a_reader.wait()
    assert a_reader.sees(lambda now: alike(first, now))


def test_a_case_that_cannot_be_read_is_told_and_the_old_one_stays(a_reader):
    pictures = a_reader.pictures()
    a_reader.page.click(".it-case:has-text('broken.nrrd')")
    a_reader.page.wait_for_selector("#it-error:has-text('ends before its last voxel')")
    assert a_reader.text("#it-case-name") == "case16"
    assert a_reader.sees(lambda now: alike(pictures, now))
    assert "Miller" not in a_reader.page.content()
    a_reader.page.click(".v-snackbar >> text=Close")


@pytest.mark.parametrize(("name", "fault"), [("unreadable", "ZeroDivisionError"), ("unshowable", "ValueError")])
def test_a_fault_nobody_foresaw_is_one_sentence_and_the_other_cases_can_still_be_read(a_reader, name, fault):
    pictures, words = a_reader.pictures(), (a_reader.labels(), a_reader.text("#it-details"))
    a_reader.page.click(f".it-case:has-text('{name}')")
    a_reader.page.wait_for_selector(f"#it-error:has-text('{name} cannot be shown')")
    assert fault in a_reader.text("#it-error")
    assert "Miller" not in a_reader.page.content()
    a_reader.until(lambda: a_reader.page.locator("#it-loading").count() == 0, "the page stops waiting")
    assert a_reader.text("#it-case-name") == a_reader.text(".it-case.v-list-item--active") == "case16"
    assert a_reader.sees(lambda now: alike(pictures, now))
    assert (a_reader.labels(), a_reader.text("#it-details")) == words
    a_reader.page.click(".v-snackbar >> text=Close")
    a_reader.click(".it-case:has-text('case17')")
    a_reader.until(lambda: a_reader.text("#it-case-name") == "case17", "another case is shown")
    assert a_reader.labels() == ["source · US", MARK]


def test_searching_narrows_the_list_and_letters_typed_are_not_commands(a_reader):
    a_reader.page.fill("#it-search", "")
    a_reader.page.focus("#it-search")
    a_reader.page.keyboard.type("case17")
    a_reader.until(lambda: a_reader.page.locator(".it-case").count() == 1, "one case left")
    assert a_reader.slice_text() == "Axial 21 / 41"
    assert len(a_reader.labels()) == 3
    a_reader.page.fill("#it-search", "")
    a_reader.until(lambda: a_reader.page.locator(".it-case").count() == 13, "all cases back")
    a_reader.page.evaluate("document.activeElement.blur()")


def test_the_page_says_how_the_image_was_made_and_what_it_is_not_for(a_reader):
    assert NOTE in a_reader.text("#it-notes")
    assert NOT_FOR_DIAGNOSIS in a_reader.text(".it-footer")
    details = a_reader.text("#it-details")
    assert "stand-in" in details
    assert "ab" * 6 in details
    a_reader.page.keyboard.press("?")
    a_reader.page.wait_for_selector("text=two tabs or two people")
    a_reader.screenshot("help")
    a_reader.page.keyboard.press("?")
    a_reader.page.wait_for_selector("text=two tabs or two people", state="hidden")


def test_the_page_asked_nothing_of_any_other_machine(a_reader, requested, address):
    server = address.partition("?")[0]
    elsewhere = [url for url in requested if not url.startswith(("data:", "blob:", server))]
    assert requested
    assert elsewhere == []


def test_the_page_can_be_loaded_again_and_its_address_passed_on(a_reader, address):
    pictures = a_reader.pictures()
    assert parse_qs(urlsplit(a_reader.page.url).query) == parse_qs(urlsplit(address).query)
    a_reader.page.reload()
    a_reader.page.wait_for_selector(".it-view img", timeout=30000)
    a_reader.wait()
    assert a_reader.sees(lambda now: alike(pictures, now))


@pytest.fixture
def another_site(tmp_path) -> Iterator[str]:
    """A page that is not the viewer's, at an address of its own."""
    (tmp_path / "index.html").write_text("<p>Win a prize</p>")
    site = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{site.server_port}/"
    site.shutdown()
    thread.join()
    site.server_close()


def test_a_page_of_another_site_cannot_open_the_viewers_websocket(a_reader, address, another_site):
    """The attack itself, in the browser of someone who has the viewer open."""
    other = a_reader.page.context.browser.new_page()
    other.goto(another_site)
    seen = other.evaluate(
        """socket => new Promise(told => {
            const tried = new WebSocket(socket);
            tried.onopen = () => told("open");
            tried.onerror = () => told("refused");
        })""",
        address.replace("http://", "ws://").replace("/?", "/ws?"),
    )
    other.close()
    assert seen == "refused"
