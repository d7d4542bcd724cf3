"""What the page shows of a comparison: the table as it is sorted and filtered, and one picture.

Rows, order, texts and points are `radiomics.comparisonview` and `comparisonplots`; the SVG is `plots`'.
"""

from __future__ import annotations

from typing import Any

from ..radiomics import comparisonview as view
from ..radiomics.comparison import Comparison, Row
from ..radiomics.comparisonplots import radar_choice
from . import plots


class RadiomicsTable:
    """Keeps the state's `rx_...` of table and picture. state: trame's."""

    def __init__(self, state: Any) -> None:
        self._state = state
        self.found: Comparison | None = None
        self._marked: list[str] = []
        state.update(
            {
                "rx_found": False, "rx_columns": [], "rx_rows": [], "rx_row_count": 0, "rx_families": [],
                "rx_flags": [], "rx_sort": "", "rx_descending": False, "rx_family": "", "rx_flag": "", "rx_text": "",
                "rx_marked": [], "rx_picture": plots.HISTOGRAM, "rx_svg": "", "rx_scale": "", "rx_made": "",
                "rx_notes": [],
            }
        )  # fmt: skip
        state.change("rx_sort", "rx_descending", "rx_family", "rx_flag", "rx_text", "rx_picture")(self._changed)

    def show(self, found: Comparison | None) -> None:
        """Show another comparison, or none; order, filters and marks stay where they still have a meaning."""
        self.found, state = found, self._state
        state.rx_found = found is not None
        if found is None:
            state.update({"rx_rows": [], "rx_svg": "", "rx_scale": "", "rx_made": "", "rx_notes": []})
            return
        state.rx_columns = [
            {"id": each.id, "title": each.title, "meaning": each.meaning, "numeric": each.numeric}
            for each in view.columns(found)
        ]
        state.rx_families, state.rx_flags = view.families(found), view.flags(found)
        state.rx_made, state.rx_notes = view.status_text(found), view.notes(found)
        keys = {row.key for row in found.rows}
        self._marked = [key for key in self._marked if key in keys]
        self._refresh()

    def sort(self, column: object) -> None:
        """By that column; again: the other way round; a third time: the engine's own order."""
        state = self._state
        if self.found is None or column not in [each.id for each in view.columns(self.found)]:
            return
        if state.rx_sort != column:
            state.rx_sort, state.rx_descending = column, False
        elif not state.rx_descending:
            state.rx_descending = True
        else:
            state.rx_sort, state.rx_descending = "", False
        self._refresh()

    def mark(self, key: object) -> None:
        """Take a feature into the pictures of features, or out of them."""
        if self.found is None or key not in [row.key for row in self.found.rows]:
            return
        taken = str(key)
        self._marked = [each for each in self._marked if each != taken] + [taken] * (taken not in self._marked)
        self._refresh()

    def unmark(self) -> None:
        """Choose no feature: the pictures take all rows shown."""
        self._marked = []
        self._refresh()

    def rows(self) -> list[Row]:
        """The rows as they are shown."""
        return [] if self.found is None else view.shown(self.found, self._selection())

    def _selection(self) -> view.Selection:
        """What the page chose; anything that is not there counts as nothing chosen."""
        state, found = self._state, self.found
        assert found is not None
        sort = state.rx_sort if state.rx_sort in [each.id for each in view.columns(found)] else ""
        family = state.rx_family if state.rx_family in view.families(found) else view.ALL
        known = (view.FLAGGED, view.UNFLAGGED, *view.flags(found))
        flag = state.rx_flag if state.rx_flag in known else view.ALL
        text = state.rx_text[:200] if isinstance(state.rx_text, str) else ""
        return view.Selection(sort, bool(state.rx_descending), family, flag, text)

    def _changed(self, **_: Any) -> None:
        self._refresh()

    def _refresh(self) -> None:
        found, state = self.found, self._state
        if found is None:
            return
        rows = self.rows()
        state.rx_rows = [
            {"key": row.key, "cells": view.cells(found, row), "about": view.about_text(row), "flag": row.flag}
            for row in rows
        ]
        state.rx_row_count = len(found.rows)
        state.rx_marked = list(self._marked)
        kind = state.rx_picture if state.rx_picture in plots.PICTURES else plots.HISTOGRAM
        svg, state.rx_scale = plots.picture(found, kind, self._chosen(kind, rows))
        state.rx_svg = plots.data_address(svg) if svg else ""

    def _chosen(self, kind: str, rows: list[Row]) -> list[Row]:
        """The features of a picture: those marked, else those shown, of which a radar takes a few of each class."""
        assert self.found is not None
        if self._marked:
            by_key = {row.key: row for row in self.found.rows}
            return [by_key[key] for key in self._marked]
        return radar_choice(rows) if kind == plots.RADAR else rows
