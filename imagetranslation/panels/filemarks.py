"""The synthetic mark on files that Slicer itself writes and reads.

Slicer keeps a node's attributes in scenes and in NRRD headers, but no other format has room for them. So a JSON file
is put beside every synthetic volume that is saved, and believed when the volume is loaded again.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ..errors import RunFailed
from ..files import write_text
from ..formats import SUFFIXES, read_sidecar, sidecar_of
from ..mrml.provenance import is_synthetic, mark, provenance_of
from ..provenance import Provenance


class FileMarks:
    """Follows an io manager's `fileSaved` and `newFileLoaded`."""

    def __init__(self, io_manager: Any, scene: Any) -> None:
        self._scene, self._manager = scene, io_manager
        # The signals' argument is of no use here, and its C++ type unknown to Python.
        io_manager.connect("fileSaved(qSlicerIO::IOProperties)", self.onSaved)
        io_manager.connect("newFileLoaded(qSlicerIO::IOProperties)", self.onLoaded)

    def onSaved(self) -> None:
        """Something was saved: give every synthetic volume's file its JSON."""
        for node, path in self._files():
            record = provenance_of(node)
            if record is not None:
                write_sidecar(path, record)

    def onLoaded(self) -> None:
        """Something was loaded: mark what its JSON says is synthetic."""
        for node, path in self._files():
            record = read_sidecar(path)
            if record is not None and record.get("file") == path.name and not is_synthetic(node):
                mark(node, Provenance.from_dict(record))

    def detach(self) -> None:
        """Stop following."""
        self._manager.disconnect("fileSaved(qSlicerIO::IOProperties)", self.onSaved)
        self._manager.disconnect("newFileLoaded(qSlicerIO::IOProperties)", self.onLoaded)

    def _files(self) -> list[tuple[Any, Path]]:
        """Volume nodes with the image files that are theirs now."""
        count = self._scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
        nodes = [self._scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
        stored = [(n, n.GetStorageNode().GetFileName() or "") for n in nodes if n.GetStorageNode() is not None]
        found = [(node, Path(name)) for node, name in stored if name.lower().endswith(SUFFIXES)]
        return [(node, path) for node, path in found if path.is_file()]


def write_sidecar(path: Path, record: Provenance) -> None:
    """Put the record beside an image file, unless another program's JSON of that name is there."""
    mapping = {**record.to_dict(), "file": path.name}
    beside, present = sidecar_of(path), read_sidecar(path)
    if present == mapping:
        return
    if present is None and beside.exists():
        logging.warning("%s is not about the synthetic image beside it and was kept; the image is not marked", beside)
        return
    try:
        write_text(beside, json.dumps(mapping, indent=1, ensure_ascii=False) + "\n")
    except RunFailed as error:
        logging.warning("%s", error)
