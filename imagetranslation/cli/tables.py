"""Tables as a statistician prints them: a title, plain columns with numbers to the right, and notes below."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout, in ASCII so that no terminal's encoding can break it; NaN is an error."""
    print(json.dumps(value, allow_nan=False))


class Page:
    """One result on stdout; in a file or a pipe it is as wide as its tables need."""

    def __init__(self, title: str) -> None:
        from rich.console import Console

        width = None if sys.stdout.isatty() else 150
        self._console = Console(width=width, highlight=False, markup=False, emoji=False)
        self._console.print(title, style="bold")

    def lines(self, lines: Sequence[str]) -> None:
        """Plain lines, then an empty one."""
        for line in lines:
            self._console.print(line, soft_wrap=True)
        self._console.print()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        """One table; the first column is text, the others stand to the right."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, title=Text(title) if title else None, title_justify="left", pad_edge=False)
        for place, column in enumerate(columns):
            table.add_column(Text(column), justify="left" if place == 0 else "right", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(table)
