"""Files to and from the radiomics panel: regions and cohorts in, tables, regions and DICOM objects out.

The page sends and saves them over its own connection (`static/radiomics.js`); on this machine they exist only in
temporary folders of this user. A file from outside is opened by the comparing process alone.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ImageTranslationError, InputError
from ..formats import stem_of
from ..radiomics.comparisonview import clipboard_text, csv_text
from ..radiomics.dicomreport import TYPES
from ..radiomics.regionfiles import FORMATS, write_regions
from ..radiomics.roi import Roi
from ..volume import Volume
from . import pagevalues
from .comparing import ComparingProcess, in_thread
from .drawing import Drawing
from .radiomicstable import RadiomicsTable

logger = logging.getLogger(__name__)

MOST_REGIONS = 32
NOTHING = "Nothing has been compared yet."
FAULT = "The file cannot be used because of a fault in this program ({}); the terminal says more."


class RadiomicsFiles:
    """images: of the case shown. on_cohort: takes a cohort that was read. say: tells the person a sentence."""

    def __init__(
        self, state: Any, process: ComparingProcess, drawing: Drawing, table: RadiomicsTable, *,
        images: Callable[[], Mapping[str, Volume]], on_cohort: Callable[[Any, str], None], say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._state, self._process, self._drawing, self._table = state, process, drawing, table
        self._images, self._on_cohort, self._say = images, on_cohort, say
        self.compared: Roi | None = None
        state.update({"rx_reading": False, "rx_dicom": "", "rx_dicom_offered": False})

    async def read(self, kind: object = None, name: object = None, content: object = None, *_: object) -> None:
        """Take a file that the page sent: regions ("regions") or a cohort's table ("cohort")."""
        images = self._images()
        try:
            data, plain = pagevalues.file_of(name, content)
            self._state.rx_reading = True
            self._state.flush()
            found = await self._ask_with_file("cohort" if kind == "cohort" else "read", plain, data, images)
            if kind == "cohort":
                self._on_cohort(found, plain)
            elif images is self._images():
                self._take(found, plain)
        except ImageTranslationError as error:
            self._say(str(error))
        except Exception as error:
            logger.error("a file from the page", exc_info=error)
            self._say(FAULT.format(type(error).__name__))
        finally:
            self._state.rx_reading = False
            self._state.flush()

    async def file(self, what: object = None, *_: object) -> dict[str, Any] | None:
        """What the page saves or copies: name, MIME type, content; None, and a sentence, where there is nothing."""
        self._state.rx_reading = True
        self._state.flush()
        try:
            return await self._made(what)
        except ImageTranslationError as error:
            self._say(str(error))
        except Exception as error:
            logger.error("a file for the page", exc_info=error)
            self._say(FAULT.format(type(error).__name__))
        finally:
            self._state.rx_reading = False
            self._state.flush()
        return None

    async def find_dicom(self) -> None:
        """Whether report and segmentation can be written of the case shown, and the sentence that says so."""
        images = self._images()
        self._state.update({"rx_dicom": "", "rx_dicom_offered": False})
        try:
            offered = await in_thread(self._process.ask, "dicom_offered", images=images)
        except ImageTranslationError as error:
            logger.warning("%s", error)
            return
        if images is self._images():
            self._state.update({"rx_dicom": offered.sentence, "rx_dicom_offered": offered.report})
            self._state.flush()

    async def _made(self, what: object) -> dict[str, Any]:
        stem = pagevalues.stem_of(stem_of(str(self._state.case_name)))
        if what in FORMATS:
            content = await in_thread(self._regions, str(what))
            return {"name": f"{stem}_regions{what}", "type": "application/octet-stream", "content": content}
        found = self._table.found
        kinds = [f"dicom:{code.meaning.lower()}" for code in TYPES]
        if what not in ("csv", "clipboard", *kinds):
            raise InputError("There is no such file.")
        if found is None:
            raise InputError(NOTHING)
        if what == "clipboard":
            return {"name": "", "type": "text/plain", "content": clipboard_text(found, self._table.rows())}
        region = pagevalues.stem_of(found.roi["name"])
        if what == "csv":
            content = csv_text(found, self._table.rows()).encode()
            return {"name": f"{stem}_{region}_radiomics.csv", "type": "text/csv", "content": content}
        content, sentences = await in_thread(
            self._process.ask, "dicom", found, self.compared, str(what).partition(":")[2], images=self._images()
        )
        self._state.rx_status = " ".join(sentences)
        return {"name": f"{stem}_{region}_dicom.zip", "type": "application/zip", "content": content}

    def _regions(self, ending: str) -> bytes:
        drawn = [(self._drawing.roi(each.id), each.colour) for each in self._drawing.segments()]
        kept = [(roi, colour) for roi, colour in drawn if roi is not None]
        with tempfile.TemporaryDirectory(prefix="imagetranslation-") as folder:
            path = Path(folder) / f"regions{ending}"
            return write_regions(path, [roi for roi, _ in kept], [colour for _, colour in kept]).read_bytes()

    def _take(self, rois: list[Roi], name: str) -> None:
        room = MOST_REGIONS - len(self._drawing.ids())
        if len(rois) > room:
            raise InputError(f"{name} holds {len(rois)} regions; there is room for {room} more on this page.")
        self._drawing.add_rois(pagevalues.named(rois))
        sentences = dict.fromkeys(note for roi in rois for note in roi.notes)
        count = f"{len(rois)} region{'s' if len(rois) != 1 else ''}"
        self._state.rx_status = " ".join([f"Read {count} of {name}.", *sentences])

    async def _ask_with_file(self, job: str, name: str, data: bytes, images: Mapping[str, Volume]) -> Any:
        def asked() -> Any:
            with tempfile.TemporaryDirectory(prefix="imagetranslation-") as folder:
                path = Path(folder) / name
                path.write_bytes(data)
                try:
                    return self._process.ask(job, str(path), images=images)
                except ImageTranslationError as error:
                    # The person knows the file, and not the folder it was put in.
                    raise type(error)(str(error).replace(f"{folder}{os.sep}", "")) from error

        return await in_thread(asked)
