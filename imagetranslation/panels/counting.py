"""The Counts panel: ratio of two regions and a profile along a line, for source and synthetic image. Imports `qt`.

What the numbers are is defined in `imagetranslation.counts`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from ..counts import Ratio, mirrored, profile, ratio
from ..errors import InputError
from ..mrml.provenance import is_synthetic
from ..mrml.volumes import volume_from_node
from . import masks, ui
from .plot import draw

if TYPE_CHECKING:
    from ..tasks import Task
    from ..volume import Volume

ALL_VIEWS = 0


class CountsPanel:
    """images() gives (source, synthetic), either of them possibly None: those of the Side by side panel."""

    def __init__(self, task: Task, images: Callable[[], tuple[Any, Any]]) -> None:
        self.widget, self.ui = ui.load("CountsPanel")
        self._task, self._images = task, images
        self.ratios: dict[str, Ratio] = {}
        self.profiles: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.ui.measureButton.connect("clicked(bool)", self.onMeasure)
        for selector in (self.ui.lesionSelector, self.ui.otherSelector, self.ui.lineSelector):
            selector.connect("nodeAddedByUser(vtkMRMLNode*)", self.onPlace)
        self.ui.profileLabel.visible = False

    def setParameterNode(self, parameters: Any) -> None:
        """Regions and lines are nodes of the scene; which of them were chosen is not kept."""

    def close(self) -> None:
        """Nothing runs here."""

    def onPlace(self, node: Any) -> None:
        """A region or a line was added in a selector: let it be drawn."""
        logic = slicer.modules.markups.logic()
        logic.SetActiveList(node)
        logic.StartPlaceMode(False)

    def onMeasure(self, *_arguments: object) -> None:
        """Measure both images."""
        self.ratios, self.profiles = {}, {}
        try:
            volumes = self._volumes()
            self._fillViews(next(iter(volumes.values())))
            if self.ui.lesionSelector.currentNode() is not None:
                self._measureRatios(volumes)
            if self.ui.lineSelector.currentNode() is not None:
                self._measureProfiles(volumes)
            if not self.ratios and not self.profiles:
                raise InputError(_("Choose a lesion region or a line first."))
            self._notice(self._meaning())
        except InputError as error:
            self._notice(str(error))
        self._showRatios()
        self._showProfiles()

    def _volumes(self) -> dict[str, Volume]:
        """Label to volume, in the place where the views show it."""
        source, synthetic = self._images()
        pairs = ((self._task.source.label, source), (self._task.target.label, synthetic))
        found = {label: volume_from_node(node) for label, node in pairs if node is not None}
        if not found:
            raise InputError(_("Choose the images under Side by side first."))
        return found

    def _fillViews(self, volume: Volume) -> None:
        count = volume.array.shape[0]
        if self.ui.viewComboBox.count != count + 1:
            labels = [_("All views"), *(_("View {number}").format(number=n + 1) for n in range(count))]
            ui.fill(self.ui.viewComboBox, labels, 1 if count > 1 else ALL_VIEWS)

    def _measureRatios(self, volumes: dict[str, Volume]) -> None:
        # Both images lie on one grid by contract: the regions are made once, on the first of them.
        node = next(n for n in self._images() if n is not None)
        first = next(iter(volumes.values()))
        lesion = masks.inside(self.ui.lesionSelector.currentNode(), node)(0, first.array.shape[0])
        chosen = self.ui.otherSelector.currentNode()
        if chosen is None:
            other = mirrored(first, lesion)
        else:
            other = masks.inside(chosen, node)(0, first.array.shape[0])
        view = self.ui.viewComboBox.currentIndex
        if view > ALL_VIEWS:
            only = np.zeros(lesion.shape, bool)
            only[view - 1] = True
            lesion, other = lesion & only, other & only
        for label, volume in volumes.items():
            if volume.array.shape != lesion.shape:
                raise InputError(_("The two images are not on one grid."))
            self.ratios[label] = ratio(volume.array, lesion, other, counted=not volume.synthetic)

    def _measureProfiles(self, volumes: dict[str, Volume]) -> None:
        line = self.ui.lineSelector.currentNode()
        if line.GetNumberOfDefinedControlPoints() < 2:
            raise InputError(_("The line has no two ends yet; place it first."))
        start, end = (_lps(line.GetNthControlPointPositionWorld(n)) for n in range(2))
        self.profiles = {label: profile(volume, start, end) for label, volume in volumes.items()}

    def _meaning(self) -> str:
        other = self.ui.otherSelector.currentNode()
        against = other.GetName() if other is not None else _("the lesion's mirror image at the image's middle")
        text = _("Mean counts a pixel, lesion to {other}. Ratios do not depend on the scale of the grey values.")
        synthetic = self._images()[1]
        scale = ""
        if synthetic is not None and is_synthetic(synthetic):
            scale = _(" The synthetic image has the model's scale and no counting statistics, so no error is given.")
        return text.format(other=against) + scale

    def _showRatios(self) -> None:
        table = self.ui.ratioTable
        table.setRowCount(len(self.ratios))
        self._cells = []
        for number, (label, found) in enumerate(self.ratios.items()):
            value = f"{found.value:.2f}" + (f" ± {found.error:.2f}" if found.error is not None else "")
            for column, text in enumerate((label, f"{found.lesion:.1f}", f"{found.other:.1f}", value)):
                cell = qt.QTableWidgetItem(text)
                self._cells.append(cell)
                table.setItem(number, column, cell)

    def _showProfiles(self) -> None:
        self.ui.profileLabel.visible = bool(self.profiles)
        if self.profiles:
            self.ui.profileLabel.setPixmap(draw(self.profiles, _("mm along the line"), 400, 220))

    def _notice(self, text: str) -> None:
        self.ui.countsNotice.text = text


def _lps(ras: Any) -> tuple[float, float, float]:
    return -ras[0], -ras[1], ras[2]
