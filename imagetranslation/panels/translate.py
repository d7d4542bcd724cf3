"""The Translate panel: choose, press Translate, watch, cancel, read what came out. Imports `qt` through its parts.

What is done lies in `translation`; this file ties it to the widgets of TranslatePanel.ui and to the parameter node.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
import vtk
from slicer.i18n import tr as _

from ..errors import Cancelled, ImageTranslationError, InputError
from ..mrml.provenance import is_synthetic
from . import modelchoices, ui
from .modelcard import show_card
from .remaining import RemainingTime, words
from .signal import Signal
from .transfer import is_colour
from .translation import Request, Translation

if TYPE_CHECKING:
    from ..tasks import Task
    from .probing import Probe

AUTOMATIC = "auto"
WARNED, FAILED = "color: #b9770e", "color: #d9534f"


class TranslatePanel:
    """Face of one `Translation`.

    hindrance: why nothing can be translated yet, or "". widget: what to put into the module.
    Signals: translated(source, result) when done; installationNeeded() when something is lacking.
    """

    def __init__(
        self, task: Task, translation: Translation, probe: Probe, hindrance: Callable[[], str] = lambda: ""
    ) -> None:
        self.translated, self.installationNeeded = Signal(), Signal()
        self.widget, self.ui = ui.load("TranslatePanel")
        self._task, self._translation, self._hindrance = task, translation, hindrance
        self._parameters: Any = None
        self._card: Any = None
        self._guiTag: Any = None
        self._observation: int | None = None
        self._watched: Any = None
        self._watchTag: int | None = None
        self._choices: list[modelchoices.Choice] = []
        self._devices: list[tuple[str, str]] = _devices([])
        self._remaining = RemainingTime()
        self.ui.translateButton.connect("clicked(bool)", self.onTranslateOrCancel)
        self.ui.modelCardButton.connect("clicked(bool)", self.onCard)
        self.ui.modelComboBox.connect("currentIndexChanged(int)", self.onModel)
        self.ui.deviceComboBox.connect("currentIndexChanged(int)", self.onDevice)
        translation.progressed.connect(self.onProgress)
        translation.logged.connect(self.log)
        translation.finished.connect(self.onFinished)
        translation.failed.connect(self.onFailed)
        probe.answered.connect(self.onProbe)
        self._showResult("")
        self.refreshModels()
        self._fillDevices()
        self.ui.deviceNotice.visible = False
        self._showIdle()

    def setParameterNode(self, parameters: Any) -> None:
        """Tie the widgets to a parameter node, or to none."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._guiTag)
            self._parameters.RemoveObserver(self._observation)
        self._parameters = parameters
        self._watchInput()
        if parameters is not None:
            self._guiTag = parameters.connectGui(self.ui)
            self._observation = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, self.onParameters)
            self._chooseDefaults()
        self.onParameters()

    def refreshModels(self) -> None:
        """List the installed models again, keeping the choice and what was added by hand."""
        by_hand = [choice for choice in self._choices if Path(choice.id).is_absolute() and Path(choice.id).exists()]
        self._choices = [*by_hand, *modelchoices.choices(self._task.id)]
        labels = [choice.label for choice in self._choices] or [_("No model is installed")]
        ui.fill(self.ui.modelComboBox, labels, self._indexOfModel(self._wantedModel()))
        self.ui.modelComboBox.enabled = bool(self._choices)
        if not self._choices:
            self._showResult(modelchoices.absence(self._task.default_model), WARNED)
        elif self.ui.resultLabel.text == modelchoices.absence(self._task.default_model):
            self._showResult("")
        self._updateButtons()

    def addModel(self, path: str) -> None:
        """Offer a package chosen by hand, and choose it; ModelRefused when it is none."""
        choice = modelchoices.choice_of(path, self._task.id)
        self._choices = [choice, *[c for c in self._choices if c.id != choice.id]]
        ui.fill(self.ui.modelComboBox, [c.label for c in self._choices], 0)
        self.ui.modelComboBox.enabled = True
        self.onModel(0)

    def close(self) -> None:
        """Stop what runs, close the card and let go of the parameter node."""
        self._translation.close()
        # A dialog that was closed is false: Qt has deleted it.
        if self._card:
            self._card.close()
        self.setParameterNode(None)

    def onParameters(self, *_arguments: object) -> None:
        """The parameter node changed, by a widget, a script or a loaded scene."""
        if self._parameters is not None:
            self.ui.modelComboBox.currentIndex = self._indexOfModel(self._parameters.model)
            self.ui.deviceComboBox.currentIndex = self._indexOfDevice(self._parameters.device)
        self._watchInput()
        self._showNotice()
        self._updateButtons()

    def _watchInput(self) -> None:
        """Follow the chosen scan: its voxels may be loaded, and its name or record may change, after it was chosen."""
        chosen = self._parameters.inputVolume if self._parameters is not None else None
        if chosen is self._watched:
            return
        if self._watched is not None:
            self._watched.RemoveObserver(self._watchTag)
        self._watched = chosen
        if chosen is not None:
            self._watchTag = chosen.AddObserver(vtk.vtkCommand.ModifiedEvent, self._showNotice)

    def _showNotice(self, *_arguments: object) -> None:
        self.ui.inputNotice.text = self._notice()
        self.ui.inputNotice.visible = bool(self._notice())

    def onModel(self, index: int) -> None:
        """Another model was chosen."""
        if self._parameters is not None and 0 <= index < len(self._choices):
            self._parameters.model = self._choices[index].id
        self._updateButtons()

    def onDevice(self, index: int) -> None:
        """Another device was chosen."""
        if self._parameters is not None and 0 <= index < len(self._devices):
            self._parameters.device = self._devices[index][0]

    def onCard(self, *_arguments: object) -> None:
        """Show the card of the chosen model."""
        choice = self._choice()
        if choice is None:
            return
        try:
            self._card = show_card(choice.label, modelchoices.card_text(choice.id))
        except ImageTranslationError as error:
            self._showResult(str(error), FAILED)

    def onTranslateOrCancel(self, *_arguments: object) -> None:
        """The one button."""
        if self._translation.busy:
            self._translation.cancel()
        else:
            self.start()

    def template(self) -> Request:
        """What the panel would do now; InputError when that is nothing."""
        choice = self._choice()
        if self._parameters is None or choice is None or choice.trouble:
            raise InputError(_("Choose a model first."))
        if sentence := self._hindrance():
            self.installationNeeded()
            raise InputError(sentence)
        return Request(
            self._parameters.inputVolume, choice.id, self._parameters.device, self._parameters.outputVolume,
            self._parameters.mask, self._task.target.window or choice.window, self._task.target.inverted,
            self._parameters.uncertainty,
        )  # fmt: skip

    def start(self) -> None:
        """Begin the translation that the panel shows; what is wrong with it is said in the result line."""
        self.ui.logText.clear()
        self._remaining = RemainingTime()
        try:
            request = self.template()
            self._translation.start(request)
        except ImageTranslationError as error:
            self._showResult(str(error), FAILED)
            return
        self.log(f"{request.source.GetName()}: {request.model}, {request.device}")
        self._source = request.source
        self._showBusy()

    def onProgress(self, done: int, total: int) -> None:
        """Windows done and in all; total 0 while the worker still loads."""
        self.ui.progressBar.maximum = total
        self.ui.progressBar.value = done
        left = words(self._remaining.seconds(done, total))
        self._showProgress(left if total else _("Loading the model..."))

    def log(self, text: str) -> None:
        """Add a line to the log."""
        self.ui.logText.appendPlainText(text)

    def onFinished(self, node: Any, report: dict[str, Any]) -> None:
        """A synthetic volume is in the scene."""
        self._showIdle()
        seconds = float(report.get("seconds_to_load", 0)) + float(report.get("seconds_to_translate", 0))
        line = _("Done in {seconds:.1f} s on {device}: {name}").format(
            seconds=seconds, device=report.get("device", "?"), name=node.GetName()
        )
        notes = [str(note) for note in (*report.get("notes", []), *report.get("uncertainty_notes", []))]
        if report.get("uncertainty"):
            notes.append(_("To see it: Side by side, Right view, Uncertainty."))
        self._showResult("\n".join([line, *notes]), WARNED if any("WARNING" in note for note in notes) else "")
        self.log(", ".join(f"{name} {value}" for name, value in report.items() if name.startswith("seconds")))
        self.translated(self._source, node)

    def onFailed(self, error: ImageTranslationError) -> None:
        """It was cancelled or went wrong; nothing was added to the scene."""
        self._showIdle()
        cancelled = isinstance(error, Cancelled)
        self._showResult(str(error), "" if cancelled else FAILED)
        self.ui.logSection.collapsed = cancelled

    def onProbe(self, report: dict[str, Any]) -> None:
        """The worker's Python said what it has."""
        found = [(str(name), str(label)) for name, label in report["devices"]]
        self._devices = _devices(found)
        self._fillDevices()
        self.ui.deviceNotice.visible = True
        torch = report["versions"].get("torch")
        self.ui.deviceNotice.text = report["trouble"] or _("Found: {devices} (torch {version}).").format(
            devices=", ".join(label for _name, label in found), version=torch
        )

    def _choice(self) -> modelchoices.Choice | None:
        index = self.ui.modelComboBox.currentIndex
        return self._choices[index] if 0 <= index < len(self._choices) else None

    def _wantedModel(self) -> str:
        return (self._parameters.model if self._parameters is not None else "") or self._task.default_model

    def _indexOfModel(self, model: str) -> int:
        return next((n for n, choice in enumerate(self._choices) if choice.id == model), 0)

    def _indexOfDevice(self, device: str) -> int:
        return next((n for n, (name, _label) in enumerate(self._devices) if name == device), 0)

    def _fillDevices(self) -> None:
        wanted = self._parameters.device if self._parameters is not None else AUTOMATIC
        ui.fill(self.ui.deviceComboBox, [label for _name, label in self._devices], self._indexOfDevice(wanted))

    def _chooseDefaults(self) -> None:
        """Fill what is empty, to save clicks: the default model and the first real volume of the scene."""
        if not any(choice.id == self._parameters.model for choice in self._choices) and self._choices:
            self._parameters.model = self._choices[self._indexOfModel(self._task.default_model)].id
        if self._parameters.inputVolume is None:
            nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            real = [n for n in nodes if not n.IsA("vtkMRMLLabelMapVolumeNode") and not is_synthetic(n)]
            if real:
                self._parameters.inputVolume = real[0]

    def _notice(self) -> str:
        source = self._parameters.inputVolume if self._parameters is not None else None
        if source is None or source.GetImageData() is None:
            return ""
        if is_synthetic(source):
            return _("This volume was made by a model; choose the scan it was made from.")
        return _("Colour volume: it is turned to grey before it is translated.") if is_colour(source) else ""

    def _updateButtons(self) -> None:
        if self._translation.busy:
            return
        choice = self._choice()
        ready = self._parameters is not None and self._parameters.inputVolume is not None
        usable = choice is not None and not choice.trouble
        self.ui.translateButton.enabled = ready and usable
        self.ui.modelCardButton.enabled = usable
        self.ui.translateButton.toolTip = (
            _("Make the synthetic image.") if ready and usable else _("Choose a volume and a model first.")
        )

    def _showBusy(self) -> None:
        self.ui.translateButton.text = _("Cancel")
        self.ui.translateButton.toolTip = _("Stop; nothing is added to the scene.")
        self.ui.progressBar.maximum = 0
        self.ui.progressBar.visible = True
        self._showProgress(_("Starting the worker..."))
        self._showResult("")

    def _showIdle(self) -> None:
        self.ui.translateButton.text = _("Translate")
        self.ui.progressBar.visible = False
        self._showProgress("")
        self._updateButtons()

    def _showProgress(self, text: str) -> None:
        self.ui.progressLabel.text = text
        self.ui.progressLabel.visible = bool(text)

    def _showResult(self, text: str, style: str = "") -> None:
        self.ui.resultLabel.text = text
        self.ui.resultLabel.styleSheet = style
        self.ui.resultLabel.visible = bool(text)


def _devices(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(id, label) of what can be chosen; the labels of devices that were found are names and not translated."""
    return [(AUTOMATIC, _("Automatic")), *(found or [("cpu", _("CPU"))])]
