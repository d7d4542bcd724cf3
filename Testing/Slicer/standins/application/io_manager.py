"""Reading and writing nodes and scenes through MRML's own storage nodes, as far as tests of modules need it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from PySide6.QtCore import QObject, Signal

from ..pythonqt import cpp_signals, invokable

_READERS = {
    (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".png", ".jpg", ".tif"): "VolumeFile",
    (".mrml", ".mrb"): "SceneFile",
    (".seg.nrrd",): "SegmentationFile",
    (".mrk.json", ".fcsv"): "MarkupsFile",
    (".csv", ".tsv"): "TableFile",
    (".h5", ".tfm"): "TransformFile",
}


@cpp_signals(newFileLoaded="qSlicerIO::IOProperties", fileSaved="qSlicerIO::IOProperties")
class qSlicerCoreIOManager(QObject):
    """Files to nodes and back: volumes and scenes are read; every node that has a storage node is written."""

    newFileLoaded = Signal(object)
    fileSaved = Signal(object)

    @invokable
    def fileType(self, path: str) -> str:
        hits = [(len(s), kind) for suffixes, kind in _READERS.items() for s in suffixes if path.lower().endswith(s)]
        return max(hits)[1] if hits else "NoFile"

    @invokable
    def fileWriterFileType(self, node: Any, extension: str = "") -> str:
        return "SceneFile" if node.IsA("vtkMRMLScene") else "NodeFile"

    @invokable
    def fileWriterExtensions(self, node: Any) -> list[str]:
        storage = node.CreateDefaultStorageNode()
        if storage is None:
            return []
        storage.UnRegister(None)
        types = storage.GetSupportedWriteFileTypes()
        return [types.GetValue(n) for n in range(types.GetNumberOfValues())]

    @invokable
    def loadNodes(self, file_type: str, properties: dict, loaded: Any = None, messages: Any = None) -> bool:
        path = properties["fileName"]
        if not Path(path).is_file():
            return False
        if file_type == "VolumeFile":
            name = properties.get("name") or Path(path).name.split(".")[0]
            options = 1 if properties.get("labelmap") else 0
            node = slicer.app.applicationLogic().GetModuleLogic("Volumes").AddArchetypeVolume(path, name, options)
        elif file_type == "SceneFile":
            return self.loadScene(path)
        else:
            raise NotImplementedError(f"the harness loads no {file_type}")
        if node is not None and loaded is not None:
            loaded.AddItem(node)
        self.newFileLoaded.emit(properties)
        return node is not None

    @invokable
    def loadScene(self, path: str, clear: bool = True) -> bool:
        scene = slicer.mrmlScene
        scene.SetURL(path)
        if path.endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, clear))
        return bool(scene.Connect() if clear else scene.Import())

    @invokable
    def saveNodes(self, file_type: str, properties: dict, messages: Any = None) -> bool:
        if file_type == "SceneFile":
            return self.saveScene(properties["fileName"], None)
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode(properties["fileName"])
        node.GetStorageNode().SetFileName(properties["fileName"])
        if "useCompression" in properties:
            node.GetStorageNode().SetUseCompression(properties["useCompression"])
        written = bool(node.GetStorageNode().WriteData(node))
        self.fileSaved.emit(properties)
        return written

    @invokable
    def saveScene(self, path: str, screenshot: Any) -> bool:
        if path.endswith(".mrb"):
            return bool(slicer.mrmlScene.WriteToMRB(path, None))
        slicer.mrmlScene.SetURL(path)
        return bool(slicer.mrmlScene.Commit(path))
