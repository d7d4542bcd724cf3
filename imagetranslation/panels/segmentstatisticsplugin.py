"""The plug-in of Slicer's Segment Statistics: PyRadiomics' features of each segment in the chosen volume. Imports `qt`.

Nothing is computed, and PyRadiomics is not needed, before a person has ticked a feature. Segment Statistics waits for
each value; while the worker makes them the application stays drawn, and takes no clicks.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections import deque
from pathlib import Path
from typing import Any

import qt
import slicer
from SegmentStatisticsPlugins import SegmentStatisticsPluginBase  # type: ignore[import-not-found]
from slicer.i18n import tr as _

from ..errors import ImageTranslationError, InputError, RunFailed
from ..mrml.provenance import provenance_of
from ..mrml.regions import labelmap_of, part_name
from ..provenance import corner_text
from ..radiomics.engine import RoiResult
from ..radiomics.pyradiomics_names import aggregation, identity, usual
from . import transfer
from .events import Event, EventParser
from .process import QtWorkerProcess
from .radiomicscomparing import PROGRAM
from .radiomicsengines import readiness
from .translation import error_of
from .workfolder import WorkFolder

PREFIX = "original_"


class ImageTranslationRadiomicsPlugin(SegmentStatisticsPluginBase):  # type: ignore[misc]
    """See Slicer's SegmentStatisticsPluginBase."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "Radiomics (image translation)"
        self.title = _("Radiomics (image translation)")
        self._features = {f"{kind}_{feature}": (kind, feature) for kind, feature in usual()}
        self.keys = list(self._features)
        # Only those who ask pay for them.
        self.defaultKeys: list[str] = []
        self._mark = ""

    def computeStatistics(self, segmentID: str) -> dict[str, float]:
        """Value by requested key; NaN, with the reason in the application's log, where a segment cannot be used.

        Raises InputError where PyRadiomics is not installed.
        """
        wanted = list(self.getRequestedKeys())
        parameters = self.getParameterNode()
        segmentation, volume = (
            slicer.mrmlScene.GetNodeByID(parameters.GetParameter(name)) for name in ("Segmentation", "ScalarVolume")
        )
        if not wanted or segmentation is None or volume is None:
            return {}
        if not (state := readiness("pyradiomics")).ready:
            raise InputError(state.sentence)
        record = provenance_of(volume)
        self._mark = "" if record is None else f" {corner_text(record)}."
        try:
            values = features_and_wait(volume, segmentation, segmentID).values
        except ImageTranslationError as error:
            logging.warning("%s", error)
            values = {}
        return {key: values.get(PREFIX + key, math.nan) for key in wanted}

    def getMeasurementInfo(self, key: str) -> dict[str, Any] | None:
        """What a column is: IBSI's name and code, how it was made, and whether the volume was synthetic."""
        if key not in self._features:
            return None
        kind, feature = self._features[key]
        found, over = identity(kind, feature), aggregation(kind)
        # Several classes have a variance, and a table no two columns of one name.
        name = f"{found.family}: {found.name} ({over})" if over else f"{found.family}: {found.name}"
        standard = f"IBSI {found.code}" if found.code else "not in the IBSI standard"
        text = f"{name}, {standard}. PyRadiomics, {PREFIX}{key}; 32 grey levels in the segment."
        return dict(self.createMeasurementInfo(key, name, text + self._mark, found.unit or None))


def features_and_wait(volume: Any, region: Any, part: str) -> RoiResult:
    """PyRadiomics' features of one region in one volume node, made by a worker while the application stays drawn.

    Raises InputError with one sentence for a region that cannot be used, RunFailed for a process that fails.
    """
    transfer.grid_shape(volume)
    work = WorkFolder(slicer.app.temporaryPath)
    try:
        image, mask, record = (work.path / name for name in ("source.nrrd", "region.nrrd", "features.json"))
        for steps in (transfer.send_volume(volume, image),
                      transfer.send_volume(labelmap_of(region, part, volume), mask)):  # fmt: skip
            deque(steps, maxlen=0)
        job = {
            "task": "extract", "images": {"source": {"path": str(image), "name": volume.GetName()}},
            "region": {"path": str(mask), "name": part_name(region, part)}, "features": "pyradiomics",
            "mirp_python": "", "record": str(record), "paths": [path for path in sys.path if path],
            "parent_pid": os.getpid(),
        }  # fmt: skip
        (work.path / "job.json").write_text(json.dumps(job), encoding="utf-8")
        _run(work.path / "job.json")
        return RoiResult.from_dict(json.loads(record.read_text(encoding="utf-8")))
    finally:
        work.remove()


def _run(job: Path) -> None:
    parser, events, process, loop = EventParser(), [], QtWorkerProcess(), qt.QEventLoop()
    process.output.connect(lambda data: events.extend(parser.feed(data)))
    process.ended.connect(lambda *_: loop.quit())
    # Started from inside the loop: a process that cannot be started would otherwise end before it runs.
    qt.QTimer.singleShot(0, lambda: process.start(["-m", PROGRAM, str(job)]))
    loop.exec_(qt.QEventLoop.ExcludeUserInputEvents)
    kinds = {event.kind: event.fields for event in events if isinstance(event, Event)}
    if "error" in kinds:
        raise error_of(kinds["error"])
    if "result" not in kinds:
        raise RunFailed("The process that makes features ended without a word.")
