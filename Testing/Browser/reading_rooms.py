"""Small studies, served as `study serve` serves them, and readers who sit at them in Chromium or speak HTTP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from imagetranslation.browser.reading import access
from imagetranslation.browser.reading.app import Reading
from imagetranslation.browser.reading.desks import Patience
from imagetranslation.readerstudy.key import load_key
from imagetranslation.readerstudy.readingset import ReadingSet, load_reading_set
from imagetranslation.readerstudy.store import FolderStore, Store
from Testing.studies import ARTIFACTS, REALISM, a_document, write_images

EVERY_TYPE: list[dict[str, Any]] = [
    {**REALISM, "each_image": True, "cannot_assess": True},
    ARTIFACTS,
    {
        "id": "kinds", "type": "multi_choice", "text": "Which artifacts?",
        "options": [{"id": "blur", "text": "Blur"}, {"id": "grid", "text": "Grid"}, {"id": "gap", "text": "Gap"}],
        "show_if": {"question": "artifacts", "equals": True},
    },
    {"id": "better", "type": "choice", "text": "Which is better?", "images_are_options": True},
    {"id": "order", "type": "ranking", "text": "Rank the images", "images_are_options": True},
    {"id": "sure", "type": "vas", "text": "How sure?", "ends": ["A guess", "Certain"]},
    {"id": "size", "type": "number", "text": "Largest diameter?", "minimum": 0, "maximum": 90, "unit": "mm"},
    {"id": "lesion", "type": "place", "text": "Where is the lesion?"},
    {"id": "edge", "type": "roi", "text": "Outline it", "cannot_assess": True},
    {"id": "comment", "type": "text", "text": "Anything else?", "required": False},
]  # fmt: skip
CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def every_type(**more: Any) -> dict[str, Any]:
    """A study that shows the source and two images, and asks one question of each type."""
    display = {"kind": "pair", "show_source": True}
    return a_document(**{"cases": 3, "readers": 3, "questions": EVERY_TYPE, "display": display, **more})


def a_reading(folder: Path, document: dict[str, Any], shape: tuple[int, int, int] = (5, 48, 60)) -> ReadingSet:
    """A prepared study in `folder`; its key lies there too."""
    from imagetranslation.readerstudy.building import build

    write_images(folder, document, shape)
    (folder / "study.json").write_text(json.dumps(document))
    build(folder)
    return load_reading_set(folder)


@dataclass
class Served:
    """A reading that is served. tokens: reader to token."""

    reading: ReadingSet
    tokens: dict[str, str]
    store: Store
    address: str

    def link(self, reader: str) -> str:
        """What the command prints for a reader."""
        return f"{self.address}/#{self.tokens[reader]}"

    def answers(self, reader: str) -> list[dict[str, Any]]:
        """The reader's answers in the journal, as they were given."""
        return [dict(entry) for entry in self.store.history(reader).entries if entry["kind"] == "answer"]

    def standing(self, reader: str) -> dict[str, Any]:
        """Question to the answer that stands, of all cases together."""
        return {entry["question"]: entry["new"] for entry in self.answers(reader)}

    def kinds(self, reader: str) -> list[str]:
        """What stands in the journal, entry by entry."""
        return [str(entry["kind"]) for entry in self.store.history(reader).entries]


@contextlib.contextmanager
def served(
    reading: ReadingSet,
    *,
    store: Store | None = None,
    patience: Patience | None = None,
    attempts: access.Attempts | None = None,
    public: str = "",
    simulated: bool = False,
) -> Iterator[Served]:
    """The study on a free port of this machine, in a thread of its own."""
    key = load_key(reading.folder.parent)
    tokens = {reader: key.reader_token(reader) for reader in reading.readers}
    kept = store or FolderStore(reading)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="reading server")
    thread.start()

    async def start() -> tuple[web.AppRunner, int]:
        made = Reading(
            reading, tokens, kept, patience=patience, attempts=attempts, public=public, simulated=simulated
        )  # fmt: skip
        runner = web.AppRunner(made.app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]

    runner, port = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield Served(reading, tokens, kept, f"http://localhost:{port}")
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def a_chromium() -> Iterator[Any]:
    """A browser without a window; skips the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium; on Debian, as root: apt-get install -y chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Physician:
    """Someone who reads: what they click, what they see. `faults`: what the page itself complained about."""

    page: Any
    faults: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, browser: Any, link: str, size: tuple[int, int] = (1280, 720)) -> Physician:
        """Open a link in a browser of one's own and wait for the first case."""
        page = browser.new_context(viewport={"width": size[0], "height": size[1]}).new_page()
        made = cls(page)
        page.on("pageerror", lambda error: made.faults.append(str(error)))
        page.goto(link)
        return made

    def sees_case(self, number: int) -> Physician:
        """Wait until that case and its images are on the screen."""
        self.page.wait_for_function(
            "n => document.getElementById('count').textContent.startsWith(n + ' of') "
            "&& document.getElementById('panes').dataset.trial === document.getElementById('form').dataset.trial",
            arg=str(number),
            timeout=15000,
        )
        return self

    def question(self, key: str) -> Any:
        """The box of a question."""
        return self.page.locator(f".question[data-key='{key}']")

    def choose(self, key: str, text: str) -> None:
        """Click an answer and wait until the server has kept it."""
        self.question(key).get_by_role("button", name=text).first.click()
        self.is_kept(key)

    def type(self, key: str, text: str) -> None:
        """Type an answer and wait until the server has kept it."""
        self.question(key).locator("input, textarea").fill(text)
        self.is_kept(key)

    def is_kept(self, key: str) -> None:
        """Wait until the form says that an answer is saved."""
        self.question(key).locator(".mark.kept").wait_for(timeout=15000)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def click_image(self, pane: int, across: float, down: float) -> None:
        """Click a place of a picture, in parts of its width and height."""
        box = self.page.locator(".pane").nth(pane).bounding_box()
        self.page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])

    def message(self) -> str:
        return self.page.inner_text("#message") if self.page.locator("#message").is_visible() else ""

    def told(self, words: str) -> None:
        """Wait until the page says so: in the bar, in the dialog or beside the questions."""
        self.page.get_by_text(words).first.wait_for(timeout=15000)

    def pixels(self, pane: int = 0) -> np.ndarray:
        """(row, column) grey values of a picture as it was drawn."""
        height, width, values = self.page.evaluate(
            """n => { const c = document.querySelectorAll('.pane canvas')[n];
              const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
              let text = ''; for (let i = 0; i < d.length; i += 4) text += String.fromCharCode(d[i]);
              return [c.height, c.width, btoa(text)]; }""",
            pane,
        )
        return np.frombuffer(base64.b64decode(values), np.uint8).reshape(height, width).astype(float)


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 15) -> None:
    """Wait for something outside the page."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"never happened: {what}")
        time.sleep(0.02)
