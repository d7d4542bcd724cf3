"""How long a translation ever holds up the application's main thread, in the Slicer harness.

The harness needs a process of its own, because it puts its stand-ins in the place of Qt's modules: `measure` starts
this file as a program, which prints one JSON object.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .results import NotMeasured, Row

ROUNDS = 7
SHAPE = (40, 256, 256)
LONGEST_S = 120
ROOT = Path(__file__).resolve().parent.parent.parent


def measure() -> list[Row]:
    """Rows gui_block (longest gap by the clock) and gui_block_cpu (longest the main thread itself worked), ms."""
    if missing := [name for name in ("slicer", "PySide6") if importlib.util.find_spec(name) is None]:
        raise NotMeasured(f"not installed: {', '.join(missing)}.")
    with tempfile.TemporaryDirectory() as home:
        ran = subprocess.run(
            [sys.executable, "-m", "Testing.Benchmarks.gui_block"],
            cwd=ROOT,
            env={**os.environ, "IMAGETRANSLATION_HOME": home},
            capture_output=True,
            text=True,
            check=False,
        )
    if ran.returncode != 0:
        raise NotMeasured(f"the harness ended with {ran.stderr.strip().splitlines()[-1:]}.")
    return _rows(**json.loads(ran.stdout.splitlines()[-1]))


def _rows(clock: list[float], cpu: list[float], views: float) -> list[Row]:
    what = (
        f"{' x '.join(map(str, SHAPE))} translated by the shipped model in the harness (stand-ins in place of Qt's "
        f"Python, real scene and worker), median of {len(clock)} translations"
    )
    by_clock = (
        f"longest gap between ticks of a 5 ms timer by the clock, waiting for a core included, worst "
        f"{max(clock):.0f} ms; {what}; opening the result's views afterwards, drawn in software, takes {views:.0f} ms"
    )
    by_cpu = f"most processor time of the main thread between two ticks, worst {max(cpu):.0f} ms; {what}"
    return [
        Row("gui_block", round(statistics.median(clock), 1), None, "<= 100", "ms", by_clock),
        Row("gui_block_cpu", round(statistics.median(cpu), 1), None, "<= 100", "ms", by_cpu),
    ]


def harness() -> dict[str, Any]:
    """Longest gaps in ms: by the clock and in processor time of each of ROUNDS translations, and by the clock of one
    that ends in opening the views."""
    sys.path.insert(0, str(ROOT / "Testing" / "Slicer"))
    from standins.application.start import start

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        application = start(Path(folder))
        from standins.driver import HarnessContext, MainThreadWatch, in_event_loop  # needs the started application

        application.window.show()
        the = HarnessContext(application, None)

        def run() -> None:
            import slicer

            application.modules.load(ROOT / "US2MRITranslate" / "US2MRITranslate.py")
            slicer.util.selectModule("US2MRITranslate")
            _add_scan()
            the.process_events()
            panel = slicer.util.getModuleWidget("US2MRITranslate").panel
            shows = panel.compare.show
            panel.translate.translated.disconnect()
            pairs = [_longest(the, panel, MainThreadWatch()) for _ in range(ROUNDS)]
            found["clock"], found["cpu"] = map(list, zip(*pairs))
            panel.translate.translated.connect(shows)
            found["views"], _ = _longest(the, panel, MainThreadWatch())
            slicer.util.selectModule("Welcome")
            application.modules.unload("US2MRITranslate")

        in_event_loop(run)
        application.layout.finish()
    return found


def _longest(the: Any, panel: Any, watch: Any) -> tuple[float, float]:
    """(by the clock, in processor time) ms of one translation."""
    with watch.watched() as gaps, _processor_time() as worked:
        the.click(panel.translate.ui.translateButton)
        the.wait_until(lambda: not panel.translation.busy, LONGEST_S, "the worker")
        the.process_events()
    if "Done in" not in panel.translate.ui.resultLabel.text:
        raise RuntimeError(panel.translate.ui.resultLabel.text)
    return 1000 * max(gaps), 1000 * max(worked)


@contextmanager
def _processor_time(interval_ms: int = 5) -> Iterator[list[float]]:
    """Seconds that this thread ran between ticks of a timer, while the block runs."""
    from PySide6.QtCore import QTimer

    worked: list[float] = []
    last = [time.thread_time()]

    def tick() -> None:
        now = time.thread_time()
        worked.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(interval_ms)
    try:
        yield worked
    finally:
        timer.stop()
        tick()


def _add_scan() -> None:
    import numpy as np
    import slicer

    voxels = np.random.default_rng(0).rayleigh(40, SHAPE).clip(0, 255).astype(np.uint8)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "large")
    slicer.util.updateVolumeFromArray(node, voxels)
    node.SetAttribute("ImageTranslation.Modality", "US")
    node.CreateDefaultDisplayNodes()


if __name__ == "__main__":
    print("\n" + json.dumps(harness()))
