"""Slicer's module Segment Editor as far as other modules set it up: its widget knows what would be drawn in, and on.

It draws nothing; tests change the segmentation as the editor's effects do.
"""

from __future__ import annotations

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget


class SegmentEditor(ScriptedLoadableModule):
    """Metadata."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "Segment Editor"
        self.parent.categories = ["Segmentation"]


class SegmentEditorWidget(ScriptedLoadableModuleWidget):
    """The panel, with its editor as the application has it."""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.editor = slicer.qMRMLSegmentEditorWidget()
        self.editor.setMRMLScene(slicer.mrmlScene)
        self.layout.addWidget(self.editor)
