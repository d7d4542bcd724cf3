"""Slicer module "US to MRI Translate": the shell. What it does lies in `imagetranslation.panels`, what is particular
to it in task.json beside this file."""

import sys
from pathlib import Path
from typing import Union

import slicer
from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLVectorVolumeNode,
)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

try:
    import imagetranslation  # noqa: F401
except ImportError:  # a source checkout: the package lies one folder up
    sys.path.append(str(Path(__file__).resolve().parent.parent))
from imagetranslation.tasks import load_task, task_file


class US2MRITranslate(ScriptedLoadableModule):
    """Metadata."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("US to MRI Translate")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = []
        self.parent.contributors = ["SlicerImageTranslation contributors"]
        self.parent.helpText = _(
            "Turns a prostate ultrasound volume into a synthetic T2-weighted MRI on the same grid and shows both side "
            "by side. Choose a volume, press Translate. The model card says what the model was trained on and how "
            "well it does. For research; a synthetic image is not for diagnosis."
        )
        self.parent.acknowledgementText = _(
            "After the study of Salmanpour et al., Int J Comput Assist Radiol Surg 2025, "
            "doi 10.1007/s11548-025-03481-3. Please cite it, and the data a model was trained on (see its card)."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", markSyntheticImages)


def registerSampleData():
    """Offer the public example scans of this task in the Sample Data module."""
    from imagetranslation.panels.samples import register

    register(load_task(task_file(__file__)), Path(__file__).parent / "Resources" / "Icons")


def markSyntheticImages():
    """Mark synthetic images in all views, also when none of our modules is ever opened."""
    from imagetranslation.panels.marking import mark_all_views

    mark_all_views()


@parameterNodeWrapper
class US2MRITranslateParameterNode:
    """What a person chose; saved with the scene.

    inputVolume: the scan. outputVolume: an earlier result to replace, or none for a new volume. mask: segmentation,
    label map or box. referenceVolume: real image of the target kind. model: id or path of a package. device: "auto",
    "cpu", "cuda:0", "mps".
    """

    inputVolume: Union[vtkMRMLScalarVolumeNode, vtkMRMLVectorVolumeNode, None]
    outputVolume: vtkMRMLScalarVolumeNode
    mask: Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, vtkMRMLMarkupsROINode, None]
    referenceVolume: vtkMRMLScalarVolumeNode
    model: str = ""
    device: str = "auto"


class US2MRITranslateWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module's panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None

    def setup(self):
        """Called when the module is opened for the first time, and after a reload."""
        from imagetranslation.panels.module import ModulePanel

        ScriptedLoadableModuleWidget.setup(self)
        self.uiWidget = slicer.util.loadUI(self.resourcePath("UI/US2MRITranslate.ui"))
        self.layout.addWidget(self.uiWidget)
        self.ui = slicer.util.childWidgetVariables(self.uiWidget)
        self.uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = US2MRITranslateLogic()
        self.ui.taskLabel.text = self.logic.task.summary
        self.panel = ModulePanel(self.logic.task)
        self.panel.addTo(self.ui.panelFrame.layout())
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.panel.setParameterNode(self.logic.getParameterNode())

    def cleanup(self):
        """Called before a reload and when the application quits: nothing may go on running."""
        self.removeObservers()
        if self.panel is not None:
            self.panel.close()
            self.panel = None

    def enter(self):
        """Called each time the module is shown."""
        if self.panel is not None:
            self.panel.setParameterNode(self.logic.getParameterNode())
            self.panel.enter()

    def exit(self):
        """Called when another module is shown. A translation under way goes on."""
        if self.panel is not None:
            self.panel.exit()

    def onSceneStartClose(self, caller, event):
        """The scene is about to be closed."""
        if self.panel is not None:
            self.panel.sceneCloses()

    def onSceneEndClose(self, caller, event):
        """The scene was closed; if the module is in view, start afresh."""
        if self.panel is not None and self.parent.isEntered:
            self.panel.setParameterNode(self.logic.getParameterNode())


class US2MRITranslateLogic(ScriptedLoadableModuleLogic):
    """Translating without the panel, for scripts."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.task = load_task(task_file(__file__))

    def getParameterNode(self):
        """The typed parameter node."""
        return US2MRITranslateParameterNode(super().getParameterNode())

    def translate(self, inputVolume, outputVolume=None, model="", device="auto", mask=None):
        """Translate in the worker, wait while the application stays alive, and return the synthetic volume node."""
        from imagetranslation.panels.scripting import translate_and_wait
        from imagetranslation.panels.translation import Request

        return translate_and_wait(Request(inputVolume, model or self.task.default_model, device, outputVolume, mask))


class US2MRITranslateTest(ScriptedLoadableModuleTest):
    """Self test on a small made-up scan."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_module()

    def test_module(self):
        """Translation (or its refusal, where something is not installed), views and what else the task has."""
        from imagetranslation.panels.selftest import check_module

        check_module(US2MRITranslateLogic())
