"""A physician who draws regions and compares features in the radiomics panel of the page, for its tests."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WAIT_S = 90
# What a test that waits in vain tells of the page.
TOLD = ("rx_running", "rx_stale", "rx_found", "rx_segments", "rx_chosen", "rx_can_undo", "rx_can_redo", "rx_tool",
        "rx_live", "rx_refusal", "rx_status", "rx_made", "error")  # fmt: skip


class Reader:
    """A physician who draws."""

    def __init__(self, page: Any, folder: Path) -> None:
        self.page, self._folder = page, folder

    def until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not holds():
            if time.monotonic() > deadline:
                self.page.screenshot(path=self._folder / "never.png")
                shown = {name: self.state(name) for name in TOLD}
                pytest.fail(f"never happened: {what}; {shown}")
            time.sleep(0.05)

    def state(self, name: str) -> Any:
        return self.page.evaluate(f"() => window.trame.state.get('{name}')")

    def set(self, name: str, value: Any) -> None:
        self.page.evaluate("([name, value]) => window.trame.state.set(name, value)", [name, value])

    def send(self, trigger: str, *arguments: Any) -> Any:
        return self.page.evaluate(
            "([name, args]) => window.trame.trigger(name, args).catch(e => 'refused')", [trigger, list(arguments)]
        )

    def drag(self, *points: tuple[float, float], view: int = 0) -> None:
        """Slowly enough for every corner to arrive; points are pixels from the middle of a view."""
        box = self.page.locator(f"#it-view-{view}").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse = self.page.mouse
        mouse.move(x + points[0][0], y + points[0][1])
        time.sleep(0.15)
        mouse.down()
        for (a, b), (c, d) in zip(points, points[1:]):
            for part in np.linspace(0, 1, 7)[1:]:
                mouse.move(x + a + (c - a) * part, y + b + (d - b) * part)
                time.sleep(0.03)
        time.sleep(0.15)
        mouse.up()

    def voxels(self) -> int:
        """Of the chosen region."""
        chosen = self.state("rx_chosen")
        return next((each["voxels"] for each in self.state("rx_segments") if each["id"] == chosen), -1)

    def draws(self, *points: tuple[float, float], view: int = 0) -> None:
        before = self.voxels()
        self.drag(*points, view=view)
        self.until(lambda: self.voxels() != before, "the region changed")

    def at_rest(self) -> bool:
        """The comparison of what is drawn is there, and the page shows it and no longer an earlier one."""
        found = not self.state("rx_running") and not self.state("rx_stale") and self.state("rx_found")
        shown = self.page.evaluate("document.querySelector('#it-made')?.textContent.trim() ?? ''")
        return bool(found) and shown == self.state("rx_made").strip()

    def compares(self) -> None:
        self.page.click("#it-compare")
        self.until(self.at_rest, "the comparison is shown")

    def column(self, name: str) -> list[str]:
        at = [each["id"] for each in self.state("rx_columns")].index(name)
        return self.page.eval_on_selector_all(
            "#it-rx-table tbody tr", f"rows => rows.map(row => row.children[{at}].innerText)"
        )

    def downloads(self, click: Callable[[], None]) -> tuple[str, bytes]:
        with self.page.expect_download(timeout=1000 * WAIT_S) as download:
            click()
        return download.value.suggested_filename, Path(download.value.path()).read_bytes()

    def plot(self) -> str:
        source = self.page.get_attribute("#it-rx-plot", "src")
        return base64.b64decode(source.split(",")[1]).decode()

    def told(self, words: str) -> None:
        self.until(lambda: self.state("error_shown") and words in self.state("error"), f"the page says {words!r}")
        self.page.wait_for_selector("#it-error", state="visible")
        message, view = (self.page.locator(place).bounding_box() for place in ("#it-error", "#it-view-0"))
        assert message["y"] > view["y"] + 60, "an error lies over the marks in the corners of the views"
        self.set("error_shown", False)

    def screenshot(self, name: str) -> None:
        self.page.screenshot(path=self._folder / f"{name}.png")
