"""From the click on "Next case" to the next images on the screen of a browser, in a hosted reading.

A real Chromium and the server of `study serve` on this machine; images as large as a usual scan.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .results import NotMeasured, Row

SHAPE = (32, 256, 256)
CASES = 12
# The time in which a person looks at a case; the images of the next one are fetched meanwhile.
LOOK_MS = 1500

# Clicks, then waits until the next case was drawn and the browser has painted it.
_CHANGE = """() => new Promise(done => {
  const panes = document.getElementById('panes'), before = panes.dataset.trial, began = performance.now();
  new MutationObserver((_, watcher) => {
    if (!panes.dataset.trial || panes.dataset.trial === before) return;
    watcher.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
  }).observe(panes, { attributes: true });
  document.getElementById('next').click();
})"""


def measure() -> list[Row]:
    """Row reader_latency, ms: median; the worst stands in the note."""
    if shutil.which("chromium") is None and shutil.which("chromium-browser") is None:
        raise NotMeasured("there is no Chromium.")
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        raise NotMeasured("playwright is not installed.") from None
    times = changes()
    worst = max(times)
    note = (
        f"click on Next case to painted images, {len(times)} changes between pairs with their source (3 x "
        f"{' x '.join(map(str, SHAPE))}), Chromium without a GPU and server on this machine, answers in a journal "
        f"folder, worst {worst:.0f} ms"
    )
    return [Row("reader_latency", round(statistics.median(times), 1), None, "<= 300", "ms", note)]


def changes() -> list[float]:
    """Milliseconds of each change of a reading from the first case to the last."""
    from Testing.Browser.reading_rooms import Physician

    with a_hosted_reading() as (browser, hosted):
        reader = Physician.at(browser, hosted.link("R1")).sees_case(1)
        times = []
        for number in range(1, len(hosted.reading.trials("R1"))):
            reader.sees_case(number)
            reader.choose("realism", "Mostly")
            reader.choose("artifacts", "No")
            reader.page.wait_for_timeout(LOOK_MS)
            times.append(float(reader.page.evaluate(_CHANGE)))
    return times


@contextlib.contextmanager
def a_hosted_reading() -> Iterator[tuple[Any, Any]]:
    """A Chromium and a study that is served."""
    from Testing.Browser.reading_rooms import a_chromium, a_reading, served
    from Testing.studies import a_document

    display = {"kind": "pair", "show_source": True}
    with tempfile.TemporaryDirectory() as folder, a_chromium() as browser:
        document = a_document(cases=CASES, readers=1, display=display)
        reading = a_reading(Path(folder) / "study", document, SHAPE)
        with served(reading) as hosted:
            yield browser, hosted
