"""The window with a model's card: data, scores, licence, limits, citation. Imports `qt`."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _


def show_card(title: str, markdown: str) -> Any:
    """Open the card beside the application without blocking it; keep the returned dialog, which closing deletes."""
    dialog = qt.QDialog(slicer.util.mainWindow())
    dialog.setAttribute(qt.Qt.WA_DeleteOnClose)
    dialog.objectName = "modelCardDialog"
    dialog.windowTitle = _("Model card: {title}").format(title=title)
    layout = qt.QVBoxLayout(dialog)
    text = qt.QTextBrowser()
    text.openExternalLinks = True
    text.setMarkdown(markdown)
    layout.addWidget(text)
    buttons = qt.QDialogButtonBox(qt.QDialogButtonBox.Close)
    buttons.connect("rejected()", dialog.close)
    layout.addWidget(buttons)
    dialog.resize(720, 640)
    dialog.show()
    return dialog
