"""Starting the application in this process: once, before any module is imported."""

from __future__ import annotations

import ctypes
import os
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_APPLICATION: Application | None = None
_module_logics: list[Any] = []
_SHIM = Path(__file__).resolve().parent.parent / "slicerapi"


@dataclass
class Application:
    """What tests need beside `slicer.app`: the native objects."""

    app: Any
    window: Any
    modules: Any
    layout: Any
    scene: Any


def start(folder: Path) -> Application:
    """The application, started on the first call; `folder` holds its settings and temporary files."""
    global _APPLICATION
    if _APPLICATION is None:
        _APPLICATION = _start(folder)
    return _APPLICATION


def _start(folder: Path) -> Application:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    _keep_singletons_alive()
    import slicer

    from ..modules import install as install_qt
    from ..pythonqt import wrap, wrapper_class
    from .app import qSlicerApplication

    app = qSlicerApplication(folder)
    install_qt()
    slicer.__path__.append(str(_SHIM))
    scene, logic = _scene_and_logics()
    slicer.mrmlScene = scene
    slicer.app = wrap(app)
    slicer.modules = types.SimpleNamespace()
    slicer.selfTests = {}

    from ..views import layout_manager, slice_view, threed_view
    from ..widgets import registry
    from .io_manager import qSlicerCoreIOManager
    from .main_window import qSlicerMainWindow
    from .module_manager import qSlicerModuleManager, qSlicerScriptedLoadableModule

    shown = [qSlicerApplication, qSlicerScriptedLoadableModule, layout_manager.qSlicerLayoutManager]
    shown += [slice_view.qMRMLSliceWidget, slice_view.qMRMLSliceView, threed_view.qMRMLThreeDWidget]
    shown += [cls for name, cls in registry.classes.items() if name.startswith("q")]
    for cls in shown:
        setattr(slicer, cls.__name__, wrapper_class(cls))
    manager = qSlicerModuleManager(app)
    window = qSlicerMainWindow(manager)
    remote = _file_cache(scene, logic, folder / "cache")
    app.install(scene=scene, application_logic=logic, module_manager=manager, io_manager=qSlicerCoreIOManager(app))
    app.install(remote_io=remote)
    layout = layout_manager.qSlicerLayoutManager(window.viewport, logic)
    app.install(layout_manager=layout)
    _add_python_parts()
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    return Application(app=app, window=window, modules=manager, layout=layout, scene=scene)


def _scene_and_logics() -> tuple[Any, Any]:
    """The scene with what qSlicerCoreApplication puts into it, and the application logic with the module logics."""
    import slicer
    import vtk

    scene = slicer.vtkMRMLScene()
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.GetColorLogic().AddDefaultColorNodes()
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    logic.SetModuleLogic("Colors", logic.GetColorLogic())
    for name, cls in {
        "Volumes": slicer.vtkSlicerVolumesLogic,
        "Segmentations": slicer.vtkSlicerSegmentationsModuleLogic,
        "SubjectHierarchy": slicer.vtkSlicerSubjectHierarchyModuleLogic,
        "Markups": slicer.vtkSlicerMarkupsLogic,
        "Sequences": slicer.vtkSlicerSequencesLogic,
    }.items():
        module_logic = cls()
        module_logic.SetMRMLScene(scene)
        module_logic.SetMRMLApplicationLogic(logic)
        logic.SetModuleLogic(name, module_logic)
        # The application logic only refers to them; in the application their modules hold them.
        _module_logics.append(module_logic)
    return scene, logic


def _file_cache(scene: Any, logic: Any, folder: Path) -> tuple[Any, Any]:
    """What MRML needs to unpack bundles (.mrb): a cache folder and the logics that know it."""
    import slicer

    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.GetCacheManager().SetRemoteCacheDirectory(str(folder))
    data = slicer.vtkDataIOManagerLogic()
    data.SetMRMLApplicationLogic(logic)
    data.SetAndObserveDataIOManager(remote.GetDataIOManager())
    logic.SetMRMLSceneDataIO(scene, remote, data)
    return remote, data


def _add_python_parts() -> None:
    """`slicer.util` and the sample data module, with installation only recorded by `slicer.packaging`.

    As in Slicer, `slicer.packaging` is there only for those who import it.
    """
    import importlib

    import slicer

    importlib.import_module("slicer.util")
    for function in ("pip_install", "pip_uninstall"):

        def deferred(*arguments: Any, _name: str = function, **keywords: Any) -> Any:
            return getattr(importlib.import_module("slicer.packaging"), _name)(*arguments, **keywords)

        setattr(slicer.util, function, deferred)
    for name in ("Volumes", "Colors", "Segmentations", "Markups", "Sequences"):
        setattr(slicer.modules, name.lower(), _CppModule(name))
    from . import sample_data, segment_statistics

    sys.modules["SampleData"] = sample_data
    sys.modules["SegmentStatistics"] = sys.modules["SegmentStatisticsPlugins"] = segment_statistics
    slicer.modules.sampleDataSources = {}


class _CppModule:
    """A C++ module: it has a logic."""

    def __init__(self, name: str) -> None:
        self.name = name

    def logic(self) -> Any:
        import slicer

        return slicer.app.applicationLogic().GetModuleLogic(self.name)


def _keep_singletons_alive() -> None:
    """PySide6 counts on these being immortal, which they are from Python 3.12 on; before, their count falls to zero."""
    if sys.version_info < (3, 12):
        for singleton in (None, True, False):
            ctypes.c_ssize_t.from_address(id(singleton)).value += 1 << 40
