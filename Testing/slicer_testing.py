"""The harness's scenarios in the real application.

    Slicer --testing --no-splash --python-script Testing/slicer_testing.py [NAME ...]

NAME picks scenarios by a part of their name. Pictures go to the folder in IMAGETRANSLATION_SCREENSHOTS, where set. The
exit code is the number of scenarios that failed. Runs on what the application brings; nothing is installed.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path

import slicer

sys.path.insert(0, str(Path(__file__).resolve().parent / "Slicer"))

from scenarios import every_scenario
from scenarios.context import Context


def run(wanted: list[str]) -> int:
    """Run the scenarios whose name holds one of `wanted` (all, when empty) and return how many failed."""
    folder = os.environ.get("IMAGETRANSLATION_SCREENSHOTS")
    context = Context(Path(folder) if folder else None)
    chosen = [s for s in every_scenario() if not wanted or any(part in s.__name__ for part in wanted)]
    failed = 0
    for scenario in chosen:
        start = time.monotonic()
        try:
            scenario(context)
            verdict = "passed"
        except Exception:  # noqa: BLE001 - a scenario's failure is reported and the next one runs
            traceback.print_exc()
            verdict, failed = "FAILED", failed + 1
        finally:
            slicer.mrmlScene.Clear(False)
            context.process_events()
        print(f"{verdict} {scenario.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
    print(f"{len(chosen) - failed} of {len(chosen)} scenarios passed", flush=True)
    return failed if chosen else 1


slicer.util.exit(run([argument for argument in sys.argv[1:] if not argument.startswith("-")]))
