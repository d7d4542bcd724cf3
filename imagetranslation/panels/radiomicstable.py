"""The lower half of the Radiomics panel: table, filters, picture, copy and save. Imports `qt`.

Order, text and filters are `radiomics.comparisonview`'s, points `radiomics.comparisonplots`', so that the browser shows
the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import ImageTranslationError
from ..radiomics import comparisonview as view
from ..radiomics.comparisonplots import radar_choice
from . import radiomicspictures as pictures
from . import ui as panel_ui

if TYPE_CHECKING:
    from ..radiomics.comparison import Comparison, Row

HISTOGRAM, BLAND_ALTMAN, RADAR = range(3)
LEAST_WIDTH, HEIGHT = 320, 284
NAME_WIDTH, TEXT_WIDTH = 130, 170
# The controls that show results, hidden until there are some.
_RESULTS = (
    "pictureChoiceLabel", "pictureComboBox", "pictureLabel", "classComboBox", "flagComboBox",
    "filterEdit", "featureTable", "countNotice", "findingLabel",
    "findingComboBox", "copyButton", "saveButton", "reportButton",
)  # fmt: skip
MARKED = "background-color: #FFC208; color: #1A1A1A; padding: 2px;"


class FeatureTable:
    """Shows one comparison, or none, in the controls of RadiomicsPanel.ui."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.found: Comparison | None = None
        self.selection = view.Selection()
        self._rows: list[Row] = []
        self._cells: list[Any] = []
        self._flags: list[str] = []
        panel_ui.fill(ui.pictureComboBox, [_("Histograms"), _("Bland-Altman"), _("Radar")], HISTOGRAM)
        ui.featureTable.horizontalHeader().connect("sectionClicked(int)", self.onHeader)
        ui.featureTable.connect("itemSelectionChanged()", self.draw)
        ui.pictureComboBox.connect("currentIndexChanged(int)", self.draw)
        ui.classComboBox.connect("currentIndexChanged(int)", self.onFilter)
        ui.flagComboBox.connect("currentIndexChanged(int)", self.onFilter)
        ui.filterEdit.connect("textChanged(QString)", self.onFilter)
        ui.copyButton.connect("clicked(bool)", self.onCopy)
        ui.saveButton.connect("clicked(bool)", self.onSave)
        self.show(None)

    def show(self, found: Comparison | None) -> None:
        """Another comparison, or none; the filters stay where they still apply."""
        self.found = found
        lines = [view.image_text(found, role) for role in view.roles(found)] if found is not None else []
        marked = found is not None and any(image["mark"] for image in found.images.values())
        panel_ui.say(self.ui.imagesNotice, "\n".join(lines), MARKED if marked else "")
        self._fillFilters()
        self.onFilter()
        for name in ("copyButton", "saveButton"):
            getattr(self.ui, name).enabled = found is not None
        self.refreshVisible()
        # What is shown for the first time gets its width when it is laid out.
        qt.QTimer.singleShot(0, self.draw)

    def refreshVisible(self) -> None:
        """Show only what there is something to say in; also after unfolding, which shows all."""
        there = self.found is not None
        for name in _RESULTS:
            getattr(self.ui, name).visible = there
        for label in (self.ui.imagesNotice, self.ui.pictureNotice):
            label.visible = there and bool(label.text)

    def chosen(self) -> list[Row]:
        """The rows that are selected, or all that are listed."""
        return [self._rows[number] for number in self._selected()] or list(self._rows)

    def onHeader(self, index: int) -> None:
        """A heading was clicked: sort by it, the other way when it was sorted by already."""
        if self.found is None:
            return
        column = view.columns(self.found)[index].id
        again = column == self.selection.sort
        self.selection = view.Selection(
            column, not self.selection.descending if again else False, self.selection.family, self.selection.flag,
            self.selection.text,
        )  # fmt: skip
        self._fill()

    def onFilter(self, *_arguments: object) -> None:
        """A filter was changed."""
        family, flag = self.ui.classComboBox.currentIndex, self.ui.flagComboBox.currentIndex
        families = view.families(self.found) if self.found is not None else []
        self.selection = view.Selection(
            self.selection.sort, self.selection.descending, families[family - 1] if family > 0 else view.ALL,
            self._flags[flag] if 0 <= flag < len(self._flags) else view.ALL, self.ui.filterEdit.text,
        )  # fmt: skip
        self._fill()

    def onCopy(self, *_arguments: object) -> None:
        """Put rows into the clipboard."""
        if self.found is not None:
            rows = self.chosen()
            qt.QApplication.clipboard().setText(view.clipboard_text(self.found, rows))
            self.ui.countNotice.text = _("Copied {count} features.").format(count=len(rows))

    def onSave(self, *_arguments: object) -> None:
        """Ask for a name and write rows."""
        if self.found is None:
            return
        title = _("Table of features")
        name = f"{self.found.roi['name']} features.csv".replace("/", "_")
        path = str(qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, name, "CSV (*.csv)"))
        if not path:
            return
        try:
            target = view.write_table(
                self.found, self.chosen(), path if path.lower().endswith(".csv") else path + ".csv"
            )
            self.ui.countNotice.text = _("Written: {path}, and a JSON beside it.").format(path=target)
        except ImageTranslationError as error:
            self.ui.countNotice.text = str(error)

    def draw(self, *_arguments: object) -> None:
        """The picture of what is chosen."""
        if self.found is None:
            return
        kind, sentence = self.ui.pictureComboBox.currentIndex, ""
        size = (max(LEAST_WIDTH, int(self.ui.pictureLabel.width)), HEIGHT)
        if kind == HISTOGRAM:
            picture = pictures.histogram(self.found, *size)
        elif kind == BLAND_ALTMAN:
            picture, sentence = pictures.bland_altman(self.found, self.chosen(), *size)
        else:
            rows = self.chosen()
            rows = radar_choice(rows) if len(rows) == len(self._rows) else rows
            picture, sentence = pictures.radar(self.found, rows, *size)
        self.ui.pictureLabel.setPixmap(picture)
        panel_ui.say(self.ui.pictureNotice, sentence)

    def _fillFilters(self) -> None:
        families = view.families(self.found) if self.found is not None else []
        wanted = self.selection.family
        panel_ui.fill(
            self.ui.classComboBox,
            [_("All classes"), *families],
            families.index(wanted) + 1 if wanted in families else 0,
        )
        raised = view.flags(self.found) if self.found is not None else []
        self._flags = [view.ALL, view.FLAGGED, view.UNFLAGGED, *raised]
        wanted = self.selection.flag
        labels = [_("All flags"), _("Flagged"), _("Not flagged"), *raised]
        panel_ui.fill(self.ui.flagComboBox, labels, self._flags.index(wanted) if wanted in self._flags else 0)

    def _fill(self) -> None:
        table, found = self.ui.featureTable, self.found
        chosen = {self._rows[number].key for number in self._selected()}
        blocked = table.blockSignals(True)
        table.clearSelection()
        self._rows = view.shown(found, self.selection) if found is not None else []
        columns = view.columns(found) if found is not None else []
        table.setRowCount(len(self._rows))
        table.setColumnCount(len(columns))
        self._headings(columns)
        self._cells = []
        for number, row in enumerate(self._rows):
            self._fillRow(number, row, columns)
        for place, column in enumerate(columns):
            if column.numeric:
                table.resizeColumnToContents(place)
            else:
                table.setColumnWidth(place, NAME_WIDTH if column.id == view.FEATURE else TEXT_WIDTH)
        for number, row in enumerate(self._rows):
            if row.key in chosen:
                self._select(number)
        table.blockSignals(blocked)
        table.scrollToTop()
        if found is not None:
            count = _("{shown} of {all} features.").format(shown=len(self._rows), all=len(found.rows))
            self.ui.countNotice.text = count
        self.draw()

    def _headings(self, columns: list[view.Column]) -> None:
        table = self.ui.featureTable
        for number, column in enumerate(columns):
            heading = qt.QTableWidgetItem(column.title)
            heading.setToolTip(column.meaning)
            self._cells.append(heading)
            table.setHorizontalHeaderItem(number, heading)
        header = table.horizontalHeader()
        sorted_by = [number for number, column in enumerate(columns) if column.id == self.selection.sort]
        header.setSortIndicatorShown(bool(sorted_by))
        if sorted_by:
            down = self.selection.descending
            header.setSortIndicator(sorted_by[0], qt.Qt.DescendingOrder if down else qt.Qt.AscendingOrder)

    def _fillRow(self, number: int, row: Row, columns: list[view.Column]) -> None:
        assert self.found is not None
        for place, (column, text) in enumerate(zip(columns, view.cells(self.found, row))):
            cell = qt.QTableWidgetItem(text)
            if column.numeric:
                cell.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            cell.setToolTip(view.about_text(row) if column.id == view.FEATURE else text)
            self._cells.append(cell)
            self.ui.featureTable.setItem(number, place, cell)

    def _selected(self) -> list[int]:
        return sorted({index.row() for index in self.ui.featureTable.selectionModel().selectedRows()})

    def _select(self, number: int) -> None:
        model = self.ui.featureTable.model()
        flags = qt.QItemSelectionModel.Select | qt.QItemSelectionModel.Rows
        self.ui.featureTable.selectionModel().select(model.index(number, 0), flags)
