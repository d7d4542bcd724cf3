"""The pictures of a report as SVG: heat map, volcano, forests. Colours are told apart by all kinds of colour vision."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...errors import InputError
from . import definitions as d
from .cohort import Report, Table

# Okabe and Ito's colours; each status has its own mark too.
STYLE = {
    d.PRESERVED: ("#0072B2", "o"),
    d.DEGRADED: ("#E69F00", "^"),
    d.LOST: ("#7A7A7A", "x"),
    d.UNDEFINED: ("#000000", "."),
}
_ROW = 0.13  # inches a feature


def require() -> None:
    """InputError where matplotlib is missing, with what to install."""
    if find_spec("matplotlib") is None:
        raise InputError(
            "The pictures of the report need matplotlib, which is not installed: run pip install matplotlib."
        )


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure without a window; inches."""
    require()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def svg(figure: Any, name: str) -> str:
    """The figure as an <svg> element, the same bytes for the same numbers. name: unique on its page."""
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    made = text.getvalue()
    return made[made.index("<svg") :]


def heat_map(report: Report) -> str:
    """Every feature by every question: rho, and ICC(A,1) where agreement may be asked."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    columns = [(table, "rho", "rho") for table in report.tables]
    columns += [(table, "icc_a_1", "ICC(A,1)") for table in report.tables if table.agreement is not None]
    keys = sorted(
        dict.fromkeys(key for table in report.tables for key in table.joined.features),
        key=lambda key: list(report.features).index(key),
    )
    families = list(dict.fromkeys(report.family(key) for key in keys))
    keys.sort(key=lambda key: families.index(report.family(key)))
    values = np.full((len(keys), len(columns)), np.nan)
    for column, (table, name, _) in enumerate(columns):
        found = dict(zip(table.joined.features, table.column(name)))
        values[:, column] = [found.get(key, np.nan) for key in keys]
    figure = new_figure(8.5, 2.2 + _ROW * len(keys))
    axes = figure.subplots()
    axes.set_facecolor("#dddddd")
    axes.pcolormesh(values, cmap="PuOr_r", vmin=-1, vmax=1, edgecolors="white", linewidth=0.3)
    axes.invert_yaxis()
    axes.set_xticks(np.arange(len(columns)) + 0.5, [_heading(table, words) for table, _, words in columns],
                    fontsize=7, ha="center")  # fmt: skip
    axes.xaxis.tick_top()
    axes.set_yticks(np.arange(len(keys)) + 0.5, [_name(report, key) for key in keys], fontsize=6)
    axes.tick_params(length=0)
    for place in range(1, len(keys)):
        if report.family(keys[place]) != report.family(keys[place - 1]):
            axes.axhline(place, color="black", linewidth=0.8)
    colours = ScalarMappable(Normalize(-1, 1), "PuOr_r")
    figure.colorbar(colours, ax=axes, label="rho or ICC(A,1)", fraction=0.03, aspect=40, shrink=min(1, 60 / len(keys)),
                    anchor=(0, 1))  # fmt: skip
    return svg(figure, "heat")


def volcano(table: Table, thresholds: d.Thresholds) -> str:
    """rho against q on a logarithmic axis, thresholds as lines."""
    rho, q = table.column("rho"), np.maximum(table.column("q"), 1e-30)
    figure = new_figure(6, 4)
    axes = figure.subplots()
    for status, (colour, mark) in STYLE.items():
        chosen = np.array([each == status for each in table.rank]) & np.isfinite(rho) & np.isfinite(q)
        if chosen.any():
            axes.scatter(rho[chosen], -np.log10(q[chosen]), c=colour, marker=mark, s=22, linewidths=1,
                         label=f"{status} ({int(chosen.sum())})" if table.counted(thresholds) else status)  # fmt: skip
    axes.axvline(thresholds.rho, color="black", linewidth=0.8, linestyle="--")
    axes.axhline(-np.log10(thresholds.q), color="black", linewidth=0.8, linestyle=":")
    axes.set(xlim=(-1.05, 1.05), xlabel=f"Spearman's rho, {' and '.join(table.relation.words)}",
             ylabel="-log10 q (Benjamini-Hochberg)")  # fmt: skip
    if axes.collections:
        axes.legend(fontsize=7, frameon=False, loc="upper left")
    return svg(figure, f"volcano {table.relation.key}")


def forest(report: Report, table: Table, name: str, label: str, statuses: tuple[str, ...], threshold: float) -> str:
    """One statistic of every feature with its interval, in the order of its value."""
    values, low, high = (table.column(f"{name}{end}") for end in ("", "_low", "_high"))
    order = [place for place in np.argsort(np.nan_to_num(-values, nan=9)) if np.isfinite(values[place])]
    figure = new_figure(7.5, 1.2 + _ROW * max(1, len(order)))
    axes = figure.subplots()
    for status, (colour, mark) in STYLE.items():
        rows = np.array([row for row, place in enumerate(order) if statuses[place] == status], dtype=int)
        if len(rows):
            places = np.array(order)[rows]
            axes.hlines(rows, low[places], high[places], color=colour, linewidth=1)
            axes.scatter(values[places], rows, s=12, c=colour, marker=mark, linewidths=1, label=status)
    axes.axvline(threshold, color="black", linewidth=0.8, linestyle="--")
    axes.axvline(0, color="black", linewidth=0.5)
    axes.set_yticks(range(len(order)), [_name(report, table.joined.features[place]) for place in order], fontsize=6)
    axes.set(ylim=(len(order) - 0.3, -0.7), xlim=(-1.05, 1.05), xlabel=label)
    axes.xaxis.set_ticks_position("both")
    axes.grid(axis="x", linewidth=0.3)
    return svg(figure, f"forest {name} {table.relation.key}")


def _heading(table: Table, words: str) -> str:
    kind = "" if table.relation.kind == "result" else f"{table.relation.kind}\n"
    return f"{words}\n{kind}" + "\nand ".join(table.relation.words).replace("perturbed ", "perturbed\n")


def _name(report: Report, key: str) -> str:
    name, _, _, aggregation, _ = report.features[key]
    return f"{name} ({aggregation})" if aggregation else name
