"""Run in the worker's Python: features of one region in two or three images, from jobs as `worker` takes them.

The comparison is recorded in a file, which the panel reads: a line of the protocol would be too short for it. Images
and the engine are kept between jobs, so that a region that was redrawn is compared in the time its features take.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, InputError
from ..files import write_text
from ..worker import Worker, run

if TYPE_CHECKING:
    from ..radiomics.engine import Engine, RoiResult
    from ..radiomics.roi import Roi
    from ..radiomics.settings import Settings
    from ..volume import Volume


class RadiomicsWorker(Worker):
    """A worker that compares."""

    def __init__(self, events: Any) -> None:
        super().__init__(events)
        self._volumes: dict[str, tuple[int, Volume]] = {}
        self._engines: dict[tuple[str, str], Engine] = {}

    def do(self, settings: dict[str, Any]) -> dict[str, Any]:
        """task: "compare", "extract", which needs the source alone, or "report".

        images: role to {path, name}. region, tissue: {path, name}, tissue may be None. features: name of a set.
        settings, cohort: paths, or "". found: record of the comparison that is reported; folder, finding: see
        `write_dicom`. files: role to DICOM files. mirp_python: see
        `make_engine`. record: where the outcome goes. cache: folder. paths: where the application finds packages.
        """
        _look_also_in(settings["paths"])
        record = {"compare": self._compare, "extract": self._extract, "report": self._report}[settings["task"]](
            settings
        )
        write_text(Path(settings["record"]), json.dumps(record, allow_nan=False))
        return {"record": settings["record"]}

    def _extract(self, settings: dict[str, Any]) -> dict[str, Any]:
        from ..radiomics.extraction import extract_one

        image = self._volume(**settings["images"]["source"])
        roi = region(image, **settings["region"])
        engine = self._engine(settings["features"], settings["mirp_python"])
        return extract_one(image, roi, chosen_settings("", False), engine, cancelled=self.stop.is_set).to_dict()

    def _report(self, settings: dict[str, Any]) -> dict[str, Any]:
        from ..radiomics.comparisonrecord import from_record
        from ..radiomics.dicomreport import Meaning, finding_called, write_dicom

        images = {role: self._volume(**image) for role, image in settings["images"].items()}
        for role, files in settings["files"].items():
            # As if the image itself had been read from these files; the writer checks where their slices lie.
            images[role] = replace(images[role], attributes={"format": "DICOM", "files": files})
        roi = region(images["source"], **settings["region"])
        found = from_record(json.loads(Path(settings["found"]).read_text(encoding="utf-8")))
        meaning = Meaning(*finding_called(settings["finding"]))
        written = write_dicom(found, images, roi, settings["folder"], meaning=meaning, cancelled=self.stop.is_set)
        names = [str(path.relative_to(settings["folder"])) for path in written.files]
        return {"files": names, "folder": settings["folder"], "sentences": list(written.sentences)}

    def _compare(self, settings: dict[str, Any]) -> dict[str, Any]:
        from ..radiomics.cache import Cache
        from ..radiomics.comparison import compare, read_cohort
        from ..radiomics.comparisonrecord import to_record

        images = {role: self._volume(**image) for role, image in settings["images"].items()}
        roi = region(images["source"], **settings["region"])
        tissue = _tissue(images["source"], **settings["tissue"]) if settings["tissue"] else None
        chosen = chosen_settings(settings["settings"], tissue is not None)
        cohort = read_cohort(settings["cohort"]) if settings["cohort"] else None
        engine = self._engine(settings["features"], settings["mirp_python"])
        try:
            found = compare(
                images, roi, chosen, engine, tissue=tissue, cohort=cohort, cache=Cache(Path(settings["cache"])),
                cancelled=self.stop.is_set,
            )  # fmt: skip
        except Cancelled:
            self._engines.clear()
            raise
        return to_record(replace(found, results={role: _told_where(each) for role, each in found.results.items()}))

    def _volume(self, path: str, name: str) -> Volume:
        from ..volume import read_volume

        changed = Path(path).stat().st_mtime_ns
        if self._volumes.get(path, (0, None))[0] != changed:
            self._volumes[path] = (changed, read_volume(path))
        # The path of the hand-over file means nothing to anybody later.
        return replace(self._volumes[path][1], name=name, attributes={})

    def _engine(self, features: str, mirp_python: str) -> Engine:
        from ..radiomics.engine import make_engine

        key = (features, mirp_python)
        if key not in self._engines:
            self._engines[key] = make_engine(features, mirp_python=mirp_python)
        return self._engines[key]


def region(image: Volume, path: str, name: str) -> Roi:
    """The region that was handed over, on the image's grid; InputError where it lies on another one, or outside."""
    from ..radiomics.roi import check_grid, from_labelmap
    from ..radiomics.segmentations import place
    from ..volume import read_volume

    (drawn,) = from_labelmap(read_volume(path), [1], {1: name})
    roi = place(drawn, image)
    check_grid(roi, image)
    return roi


def chosen_settings(path: str, tissue: bool) -> Settings:
    """The settings of a file, or ours: z-scores where a tissue is given. InputError where a tissue had no use."""
    from ..radiomics.settings import Settings, read_settings

    if not path:
        return Settings(normalisation="z-score" if tissue else "none")
    found = read_settings(path)
    uses = found.parameters is None and (found.normalisation != "none" or found.bias_field_correction)
    if tissue and not uses:
        raise InputError(
            f"{Path(path).name} does not normalise, so the tissue would have no use: choose no tissue, or write "
            '"normalisation": "z-score" into a settings file of ours.'
        )
    return found


def _tissue(image: Volume, path: str, name: str) -> Volume:
    roi = region(image, path, name)
    return image.with_array(roi.full(), name=name, provenance=None, notes=())


def _told_where(result: RoiResult) -> RoiResult:
    """What is here means nothing to those who read the result in the application."""
    from ..radiomics.engine import HERE

    return replace(result, isolation=f"a process of {sys.executable}") if result.isolation == HERE else result


def _look_also_in(paths: list[str]) -> None:
    """Packages of the application's extensions (PyRadiomics) come after what this Python has itself."""
    sys.path.extend(path for path in paths if path not in sys.path)


if __name__ == "__main__":
    sys.exit(run(RadiomicsWorker, sys.argv[1]))
