"""The Side by side panel: which images, which plane, fade, rocker, checkerboard, difference, uncertainty, swap.

Imports `qt`. Views and layers are `mrml.sidebyside`'s work, pictures of two images `mrml.blends`'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from ..mrml.blends import checkerboard_node, difference_node, remove
from ..mrml.colours import redraw_legends
from ..mrml.provenance import is_synthetic
from ..mrml.sidebyside import ORIENTATIONS, SideBySide
from ..mrml.uncertainty import legend_sentence_of, map_node_of, show_as_map
from . import ui
from .outputs import show_inverted

if TYPE_CHECKING:
    from ..tasks import Task

SYNTHETIC, FADE, CHECKERBOARD, DIFFERENCE, UNCERTAINTY = range(5)
ROCK_INTERVAL_MS, ROCK_STEP = 60, 4
SWAP_KEY = "X"


class ComparePanel:
    """Face of one `SideBySide`."""

    def __init__(self, task: Task) -> None:
        self.widget, self.ui = ui.load("ComparePanel")
        self.view = SideBySide(slicer.mrmlScene, slicer.app.applicationLogic().GetSliceLogic)
        self._task = task
        self._parameters: Any = None
        self._guiTag: Any = None
        self._derived: dict[int, Any] = {}
        self._away, self._comesBack = False, False
        self._direction = ROCK_STEP
        self._rocker = qt.QTimer()
        self._rocker.setInterval(ROCK_INTERVAL_MS)
        self._rocker.connect("timeout()", self.onRock)
        self._swapKey: Any = None
        self.ui.orientationComboBox.currentIndex = ORIENTATIONS.index(task.layout)
        self.ui.compareButton.connect("toggled(bool)", self.onToggled)
        self.ui.orientationComboBox.connect("currentIndexChanged(int)", self.onOrientation)
        self.ui.modeComboBox.connect("currentIndexChanged(int)", self.onMode)
        self.ui.fadeSlider.connect("valueChanged(int)", self.onMode)
        self.ui.squaresSpinBox.connect("valueChanged(int)", self.onMode)
        self.ui.rockButton.connect("toggled(bool)", self.onRockToggled)
        self.ui.swapButton.connect("clicked(bool)", self.onSwap)
        for selector in (self.ui.sourceSelector, self.ui.syntheticSelector, self.ui.referenceSelector):
            selector.connect("currentNodeChanged(vtkMRMLNode*)", self.onImages)
        self._update()

    def setParameterNode(self, parameters: Any) -> None:
        """Tie the reference selector to a parameter node, or to none."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._guiTag)
        self._parameters = parameters
        if parameters is not None:
            self._guiTag = parameters.connectGui(self.ui)

    def show(self, source: Any, synthetic: Any) -> None:
        """Show these two (and the reference, where one is chosen) side by side."""
        for selector, node in ((self.ui.sourceSelector, source), (self.ui.syntheticSelector, synthetic)):
            blocked = selector.blockSignals(True)
            selector.setCurrentNode(node)
            selector.blockSignals(blocked)
        if self._away:
            # A result for a module that is not in view: its views wait until the person comes back.
            self._comesBack = True
            self._update()
        elif self.ui.compareButton.checked:
            self._open()
        else:
            self._update()
            self.ui.compareButton.checked = True

    def suspend(self) -> None:
        """The module is left: bring the earlier views back until it is shown again."""
        if not self._away:
            self._away, self._comesBack = True, self.ui.compareButton.checked
            self.ui.compareButton.checked = False

    def resume(self) -> None:
        """The module is shown again."""
        if self._away:
            self._away = False
            if self._comesBack and self._pair() is not None:
                self.ui.compareButton.checked = True

    def images(self) -> tuple[Any, Any]:
        """(source, synthetic) as chosen, None where nothing is."""
        return self.ui.sourceSelector.currentNode(), self.ui.syntheticSelector.currentNode()

    def leave(self) -> None:
        """Bring the earlier views back and remove what was only made for looking."""
        self.ui.rockButton.checked = False
        if self._swapKey is not None:
            self._swapKey.setEnabled(False)
            self._swapKey.deleteLater()
            self._swapKey = None
        self.view.leave()
        redraw_legends(slicer.mrmlScene)
        for node in self._derived.values():
            remove(node)
        self._derived = {}

    def close(self) -> None:
        """The panel goes."""
        self.setParameterNode(None)
        self.ui.compareButton.checked = False
        self.leave()

    def onToggled(self, on: bool) -> None:
        """The button: show or leave."""
        if on:
            self._open()
        else:
            self.leave()
        self._update()

    def onImages(self, *_arguments: object) -> None:
        """Another image was chosen, or one was removed."""
        if self.ui.compareButton.checked and self._pair() is None:
            self.ui.compareButton.checked = False
        elif self.ui.compareButton.checked:
            self._open()
        self._update()

    def onOrientation(self, index: int) -> None:
        """Another plane was chosen."""
        if self.view.on:
            self.view.turn(ORIENTATIONS[index])
            self.onMode()

    def onMode(self, *_arguments: object) -> None:
        """What the synthetic image's view shows, or how, has changed."""
        self._update()
        if not self.view.on:
            return
        try:
            self._notice("")
            self._layOver(self.ui.modeComboBox.currentIndex)
        except InputError as error:
            self.view.lay_over(None)
            self._notice(str(error))
        redraw_legends(slicer.mrmlScene)

    def onRockToggled(self, on: bool) -> None:
        """Start or stop fading to and fro."""
        if on:
            self.ui.modeComboBox.currentIndex = FADE
            self._rocker.start()
        else:
            self._rocker.stop()

    def onRock(self) -> None:
        """One step of the rocker."""
        value = self.ui.fadeSlider.value + self._direction
        if not 0 <= value <= 100:
            self._direction = -self._direction
            value = min(100, max(0, value))
        self.ui.fadeSlider.value = value

    def onSwap(self, *_arguments: object) -> None:
        """The button or the key."""
        if self.view.on:
            self.view.swap()
            redraw_legends(slicer.mrmlScene)

    def onFit(self) -> None:
        """The views have got their size."""
        if self.view.on:
            self.view.fit()
            self.onMode()

    def _open(self) -> None:
        pair = self._pair()
        if pair is None:
            self.ui.compareButton.checked = False
            return
        reference = self.ui.referenceSelector.currentNode()
        for node, side in zip((*pair, reference), (self._task.source, self._task.target, self._task.target)):
            if node is not None and side.inverted:
                show_inverted(node)
        orientation = ORIENTATIONS[self.ui.orientationComboBox.currentIndex]
        self.view.show(*pair, reference, orientation)
        if self._swapKey is None:
            self._swapKey = qt.QShortcut(qt.QKeySequence(SWAP_KEY), slicer.util.mainWindow() or self.widget)
            self._swapKey.connect("activated()", self.onSwap)
        # The views get their size when the event loop has laid them out.
        self.onFit()
        qt.QTimer.singleShot(0, self.onFit)

    def _pair(self) -> tuple[Any, Any] | None:
        source, synthetic = self.images()
        # A selector whose image is removed goes on to another one by itself, which may be the other image.
        return None if source is None or synthetic is None or source is synthetic else (source, synthetic)

    def _layOver(self, mode: int) -> None:
        source, synthetic = self._pair() or (None, None)
        if mode == FADE:
            self.view.lay_over(synthetic, self.ui.fadeSlider.value / 100)
        elif mode == CHECKERBOARD:
            plane = ORIENTATIONS[self.ui.orientationComboBox.currentIndex].lower()
            plane = plane if plane != "acquired" else "axial"
            squares = self.ui.squaresSpinBox.value
            self._keep(CHECKERBOARD, checkerboard_node(source, synthetic, squares, plane, self._derived.get(mode)))
            self.view.lay_over(self._derived[mode])
        elif mode == DIFFERENCE:
            reference = self.ui.referenceSelector.currentNode()
            if reference is None:
                raise InputError(_("Choose a reference image to see the difference from it."))
            self._keep(DIFFERENCE, difference_node(synthetic, reference, self._derived.get(mode)))
            self.view.lay_over(self._derived[mode])
            self._notice(_("Synthetic minus reference, each first scaled to 0-100 % of its own window."))
        elif mode == UNCERTAINTY:
            self._layMapOver(synthetic)
        else:
            self.view.lay_over(None)

    def _layMapOver(self, synthetic: Any) -> None:
        """The uncertainty map over the synthetic image, as strong as the fade slider says."""
        deviation = map_node_of(synthetic)
        if deviation is None:
            raise InputError(_("This image has no uncertainty map: translate again with Uncertainty ticked."))
        show_as_map(deviation, synthetic)
        self.view.lay_over(deviation, self.ui.fadeSlider.value / 100, synthetic)
        self._notice(legend_sentence_of(deviation))

    def _keep(self, mode: int, node: Any) -> None:
        self._derived[mode] = node

    def _notice(self, text: str) -> None:
        self.ui.compareNotice.text = text
        self.ui.compareNotice.visible = bool(text)

    def _update(self) -> None:
        """What can be used now."""
        on, mode = self.ui.compareButton.checked, self.ui.modeComboBox.currentIndex
        self.ui.compareButton.enabled = on or self._pair() is not None
        self.ui.compareButton.text = _("Back to the earlier views") if on else _("Show side by side")
        self.ui.swapButton.enabled = on
        self.ui.modeComboBox.enabled = on
        self.ui.rockButton.enabled = on
        self.ui.fadeSlider.enabled = on and mode in (FADE, UNCERTAINTY)
        self.ui.squaresSpinBox.enabled = on and mode == CHECKERBOARD
        chosen = self.ui.syntheticSelector.currentNode()
        if chosen is not None and not is_synthetic(chosen):
            self._notice(_("The image chosen as synthetic does not say that a model made it."))
