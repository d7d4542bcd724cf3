"""The Radiomics panel: images, a region, Compare; what a comparison shows is `radiomicstable`'s. Imports `qt`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from ..errors import Cancelled, ImageTranslationError, InputError
from ..mrml.provenance import is_synthetic
from ..mrml.regions import follow, new_region, parts
from ..radiomics import comparisonview as view
from ..radiomics.comparison import ROLES
from . import ui
from .radiomicscomparing import ComparisonRequest, RadiomicsComparison
from .radiomicsengines import TITLES, readiness
from .radiomicsparameters import choices_of
from .radiomicsreportcontrols import ReportControls
from .radiomicstable import FeatureTable

if TYPE_CHECKING:
    from ..radiomics.comparison import Comparison
    from .installation import Installer
    from .radiomicsreporting import RadiomicsReport

FAILED = "color: #d9534f"
# A brush stroke is often followed by the next one.
PATIENCE_MS = 800
MIRP_PYTHON = "ImageTranslation/MirpPython"


class RadiomicsPanel:
    """Face of one `RadiomicsComparison` and its `RadiomicsReport`. installer: of MIRP."""

    def __init__(self, comparison: RadiomicsComparison, report: RadiomicsReport, installer: Installer) -> None:
        self.widget, self.ui = ui.load("RadiomicsPanel")
        self._comparison, self._installer = comparison, installer
        self.choices: Any = None
        self._tags: tuple[Any, Any] = (None, None)
        self._followed: Any = None
        self._unfollow: Callable[[], None] | None = None
        self._parts: list[str] = []
        self._shown, self._stale = True, False
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(PATIENCE_MS)
        self._timer.connect("timeout()", self.onPatienceEnds)
        ui.fill(self.ui.featuresComboBox, [_(title) for title in TITLES.values()], 0)
        self.ui.mirpPath.currentPath = str(slicer.app.userSettings().value(MIRP_PYTHON, "") or "")
        self.table = FeatureTable(self.ui)
        self.report = ReportControls(self.ui, report, comparison, self.volumes)
        self._connect()
        self._say("")
        self._update()

    def _connect(self) -> None:
        self.ui.radiomicsSection.connect("contentsCollapsed(bool)", self.onFolded)
        self.ui.drawButton.connect("clicked(bool)", self.onDraw)
        self.ui.partComboBox.connect("currentIndexChanged(int)", self.onPart)
        self.ui.featuresComboBox.connect("currentIndexChanged(int)", self.onFeatures)
        self.ui.settingsPath.connect("currentPathChanged(QString)", self.onPaths)
        self.ui.cohortPath.connect("currentPathChanged(QString)", self.onPaths)
        self.ui.mirpPath.connect("currentPathChanged(QString)", self.onMirpPath)
        self.ui.mirpButton.connect("clicked(bool)", self.onInstall)
        self.ui.radiomicsButton.connect("clicked(bool)", self.onCompareOrCancel)
        self._comparison.finished.connect(self.onFinished)
        self._comparison.failed.connect(self.onFailed)
        self._installer.finished.connect(self.onInstalled)
        self._installer.failed.connect(self.onInstalled)

    def setParameterNode(self, parameters: Any) -> None:
        """Tie the panel to a parameter node, or to none, which forgets the comparison."""
        node = None if parameters is None else parameters.parameterNode
        if self.choices is not None:
            if self.choices.parameterNode is node:
                return
            self.choices.disconnectGui(self._tags[0])
            self.choices.RemoveObserver(self._tags[1])
        self.forget()
        self.choices = None if node is None else choices_of(node)
        if self.choices is not None:
            gui = self.choices.connectGui(self.ui)
            self._tags = (gui, self.choices.AddObserver(vtk.vtkCommand.ModifiedEvent, self.onChoices))
        self.onChoices()

    def show(self, source: Any, synthetic: Any, reference: Any = None) -> None:
        """A translation is done: its images are what would be compared."""
        if self.choices is None:
            return
        self.choices.source, self.choices.synthetic = source, synthetic
        if reference is not None and reference is not source and reference is not synthetic:
            self.choices.reference = reference

    def forget(self) -> None:
        """Stop, and show nothing."""
        self._timer.stop()
        self._stale = False
        self.report.close()
        self.report.say("")
        self._comparison.close()
        self.table.show(None)
        self._say("")

    def close(self) -> None:
        """The panel goes."""
        self.setParameterNode(None)
        self._installer.close()

    def suspend(self) -> None:
        """Another module is shown: a region that changes there is compared when the person comes back."""
        self._shown = False

    def resume(self) -> None:
        """The module is shown again."""
        self._shown = True
        if self._stale:
            self.onPatienceEnds()
        self._update()

    def onFolded(self, *_arguments: object) -> None:
        """The section was folded or unfolded, which shows what was hidden in it."""
        self.table.refreshVisible()
        self.ui.reportNotice.visible = bool(self.ui.reportNotice.text)
        self._update()

    def onChoices(self, *_arguments: object) -> None:
        """The parameter node changed, by a widget, a script or a loaded scene."""
        region = self.choices.region if self.choices is not None else None
        if region is not self._followed:
            if self._unfollow is not None:
                self._unfollow()
            self._followed = region
            self._unfollow = follow(region, self.onRegion) if region is not None else None
            self._fillParts()
        if self.choices is not None:
            names = list(TITLES)
            self.ui.featuresComboBox.currentIndex = (
                names.index(self.choices.features) if self.choices.features in names else 0
            )
            for widget, path in (
                (self.ui.settingsPath, self.choices.settings),
                (self.ui.cohortPath, self.choices.cohort),
            ):
                if widget.currentPath != path:
                    widget.currentPath = path
        self._update()

    def onRegion(self) -> None:
        """What is drawn has changed: compare again when the hand rests."""
        self._fillParts()
        if self.table.found is None and not self._comparison.busy:
            return
        self._stale = True
        # Numbers of another region than the one that is drawn are shown faint.
        self.ui.featureTable.enabled = False
        if self.choices is not None and self.choices.recompute:
            self._timer.start()
        else:
            self._say(_("The region has changed since; press Compare."), FAILED)

    def onPatienceEnds(self) -> None:
        """The region has not changed for a while; a comparison under way is of the earlier one."""
        if self._shown and self.choices is not None and self.choices.recompute:
            self._comparison.cancel()
            self.start()

    def onPart(self, index: int) -> None:
        """Another segment was chosen."""
        if self.choices is not None and 0 <= index < len(self._parts):
            self.choices.part = self._parts[index]
            self.onRegion()

    def onFeatures(self, index: int) -> None:
        """Another set of features was chosen."""
        if self.choices is not None:
            self.choices.features = list(TITLES)[index]
        if self._readiness().installable:
            # What helps is in there.
            self.ui.settingsBox.collapsed = False
        self._update()

    def onPaths(self, *_arguments: object) -> None:
        """Another settings or cohort file was chosen."""
        if self.choices is not None:
            self.choices.settings = self.ui.settingsPath.currentPath
            self.choices.cohort = self.ui.cohortPath.currentPath

    def onMirpPath(self, path: str) -> None:
        """Another interpreter was chosen; it is kept on this computer."""
        slicer.app.userSettings().setValue(MIRP_PYTHON, path)
        self._update()

    def onInstall(self, *_arguments: object) -> None:
        """Look whether MIRP fits, ask, install."""
        self._say(_("Asking pip what it would install..."))
        self._installer.start()

    def onInstalled(self, outcome: object) -> None:
        """MIRP was installed, or the sentence why not."""
        failed = isinstance(outcome, ImageTranslationError)
        other = _(" You may choose the Python of a separate environment that has MIRP instead.") if failed else ""
        self._say(f"{outcome}{other}", FAILED if failed else "")
        self._update()

    def onDraw(self, *_arguments: object) -> None:
        """Open the Segment Editor on the source, with the chosen segmentation or a new one."""
        source = self.choices.source if self.choices is not None else None
        if source is None:
            self._say(_("Choose the scan to draw on first."), FAILED)
            return
        region = self.choices.region
        if region is None or not region.IsA("vtkMRMLSegmentationNode"):
            region = new_region(source)
            self.choices.region = region
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        editor.setSegmentationNode(region)
        editor.setSourceVolumeNode(source)
        if self.choices.part:
            editor.setCurrentSegmentID(self.choices.part)

    def onCompareOrCancel(self, *_arguments: object) -> None:
        """The one button."""
        if self._comparison.busy:
            self._comparison.cancel()
        else:
            self.start()

    def start(self) -> None:
        """Begin what the panel shows; what is wrong with it is said in the notice."""
        self._timer.stop()
        self._stale = False
        try:
            self._comparison.start(self.request())
        except ImageTranslationError as error:
            self.onFailed(error)
            return
        self.ui.featureTable.enabled = False
        self.report.say("")
        self._say(_("Comparing..."))
        self._update()

    def request(self) -> ComparisonRequest:
        """What would be compared; InputError where the engine is not there."""
        state = self._readiness()
        if not state.ready:
            raise InputError(state.sentence)
        choices = self.choices
        return ComparisonRequest(
            self.volumes(), choices.region, choices.part, choices.tissue, choices.features, choices.settings,
            choices.cohort, self.ui.mirpPath.currentPath,
        )  # fmt: skip

    def volumes(self) -> dict[str, Any]:
        """The volumes that are chosen, by role."""
        found = {role: getattr(self.choices, role) for role in ROLES}
        return {role: node for role, node in found.items() if node is not None}

    def onFinished(self, found: Comparison) -> None:
        """There is a comparison."""
        self.ui.featureTable.enabled = True
        self.table.show(found)
        self._say("\n".join([view.status_text(found), *view.notes(found)]))
        self._update()

    def onFailed(self, error: ImageTranslationError) -> None:
        """It was stopped or went wrong: numbers of an earlier region would be taken for this one's."""
        self.ui.featureTable.enabled = True
        self.table.show(None)
        self._say(str(error), "" if isinstance(error, Cancelled) else FAILED)
        self._update()

    def _readiness(self) -> Any:
        features = self.choices.features if self.choices is not None else ""
        return readiness(features if features in TITLES else next(iter(TITLES)), self.ui.mirpPath.currentPath)

    def _fillParts(self) -> None:
        found = parts(self._followed)
        if self.choices is None:
            return
        self._parts = [part for part, _name in found]
        if self.choices.part not in self._parts:
            self.choices.part = self._parts[0] if self._parts else ""
        index = self._parts.index(self.choices.part) if self._parts else -1
        ui.fill(self.ui.partComboBox, [name for _part, name in found], index)

    def _update(self) -> None:
        """What the controls say now."""
        state, busy, choices = self._readiness(), self._comparison.busy, self.choices
        ready = choices is not None and None not in (choices.source, choices.synthetic, choices.region)
        ui.say(self.ui.engineNotice, f"{self._doubt()} {state.sentence}".strip())
        self.ui.mirpButton.visible = state.installable
        self.ui.drawButton.enabled = choices is not None and choices.source is not None
        self.ui.radiomicsButton.enabled = busy or ready
        self.ui.radiomicsButton.text = _("Cancel") if busy else _("Compare")
        self.ui.radiomicsButton.toolTip = (
            _("Stop; no features are shown.") if busy
            else _("Make the features of the region in each image.") if ready
            else _("Choose images and a region first.")
        )  # fmt: skip

    def _doubt(self) -> str:
        synthetic = self.choices.synthetic if self.choices is not None else None
        if synthetic is not None and not is_synthetic(synthetic):
            return _("The volume chosen as synthetic does not say that a model made it.")
        return ""

    def _say(self, text: str, style: str = "") -> None:
        ui.say(self.ui.radiomicsNotice, text, style)
