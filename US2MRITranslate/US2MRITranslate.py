"""Slicer module "US to MRI Translate": the shell. What it does lies in `imagetranslation.panels`, what is particular
to it in task.json beside this file."""

import sys
from pathlib import Path
from typing import Union

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

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
        slicer.app.connect("startupCompleted()", registerSegmentStatistics)


def registerSampleData():
    """Offer the public example scans of this task in the Sample Data module."""
    from imagetranslation.panels.samples import register

    register(load_task(task_file(__file__)), Path(__file__).parent / "Resources" / "Icons")


def markSyntheticImages():
    """Mark synthetic images in all views, also when none of our modules is ever opened."""
    from imagetranslation.panels.marking import mark_all_views

    mark_all_views()


def registerSegmentStatistics():
    """Offer radiomic features in the Segment Statistics module, where people look for them."""
    from imagetranslation.panels.segmentstatistics import register

    register()


@parameterNodeWrapper
class US2MRITranslateParameterNode:
    """What a person chose; saved with the scene.

    inputVolume: the scan. outputVolume: an earlier result to replace, or none for a new volume. mask: segmentation,
    label map or box. referenceVolume: real image of the target kind. model: id or path of a package. device: "auto",
    "cpu", "cuda:0", "mps". uncertainty: whether to map the spread of the model's answers too.
    """

    inputVolume: Union[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLVectorVolumeNode, None]
    outputVolume: slicer.vtkMRMLScalarVolumeNode
    mask: Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, slicer.vtkMRMLMarkupsROINode, None]
    referenceVolume: slicer.vtkMRMLScalarVolumeNode
    model: str = ""
    device: str = "auto"
    uncertainty: bool = False


class US2MRITranslateWidget(ScriptedLoadableModuleWidget):
    """The module's panel: an `imagetranslation.panels.module.ModulePanel`, which also follows the scene."""

    panel = None

    def setup(self):
        """Called when the module is opened for the first time, and after a reload."""
        from imagetranslation.panels.module import ModulePanel

        ScriptedLoadableModuleWidget.setup(self)
        self.uiWidget = slicer.util.loadUI(self.resourcePath("UI/US2MRITranslate.ui"))
        self.layout.addWidget(self.uiWidget)
        self.logic = US2MRITranslateLogic()
        self.panel = ModulePanel(self.logic, self.parent, self.uiWidget)

    def cleanup(self):
        """Called before a reload and when the application quits: nothing may go on running."""
        if self.panel is not None:
            self.panel.close()
            self.panel = None

    def enter(self):
        """Called each time the module is shown."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        """Called when another module is shown. A translation under way goes on."""
        if self.panel is not None:
            self.panel.exit()


class US2MRITranslateLogic(ScriptedLoadableModuleLogic):
    """Translating without the panel, for scripts."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.task = load_task(task_file(__file__))

    def getParameterNode(self):
        """The typed parameter node."""
        return US2MRITranslateParameterNode(super().getParameterNode())

    def translate(self, inputVolume, outputVolume=None, model="", device="auto", mask=None, uncertainty=False):
        """Translate in the worker, wait while the application stays alive, and return the synthetic volume node."""
        from imagetranslation.panels.scripting import translate_and_wait

        return translate_and_wait(self.task, inputVolume, outputVolume, model, device, mask, uncertainty)


class US2MRITranslateTest(ScriptedLoadableModuleTest):
    """Self test on a small made-up scan."""

    def runTest(self):
        """Translation (or its refusal, where something is not installed), views and what else the task has."""
        from imagetranslation.panels.selftest import check_module

        slicer.mrmlScene.Clear()
        check_module(US2MRITranslateLogic())
