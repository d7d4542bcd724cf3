"""The plots of an atlas as SVG: patients as points, error by deviation, and the error that is left without doubt."""

from __future__ import annotations

import math

import numpy as np

from imagetranslation.radiomics.preservation.figures import new_figure, svg

from .relations import Between, Within

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#7A7A7A"
NAMED = 3  # patients of the largest error that are named


def scatter(found: Between, axis: str, error: str) -> str:
    """Patients as points; those with the largest errors are named. axis, error: what the axes show, with unit."""
    figure = new_figure(4.6, 3.5)
    axes = figure.subplots()
    x, y = np.array([*found.x.values()]), np.array([*found.y.values()])
    axes.scatter(x, y, s=24, c=BLUE, alpha=0.75, linewidths=0)
    for place in np.argsort(-y)[:NAMED]:
        axes.annotate([*found.x][place], (x[place], y[place]), fontsize=7, xytext=(4, 3), textcoords="offset points")
    axes.set(xlabel=axis, ylabel=error)
    axes.set_title(_heading(found), fontsize=9)
    axes.grid(linewidth=0.3)
    return svg(figure, f"scatter-{found.key}")


def _heading(found: Between) -> str:
    if found.rho is None:
        return f"n = {len(found.x)}"
    interval = found.interval
    told = f"rho {found.rho:.2f}"
    if interval.low is not None:
        told += f" ({interval.low:.2f} to {interval.high:.2f})"
    return f"{told}, n = {len(found.x)}"


def by_deviation(found: Within) -> str:
    """Error against deviation (root mean squares) in bins of equal weight; on the line where the map claims it."""
    figure = new_figure(4.6, 3.5)
    axes = figure.subplots()
    x, y = ([row[name] for row in found.bins] for name in ("predicted", "observed"))
    axes.plot(x, y, color=BLUE, marker="o", markersize=4, linewidth=1.2)
    if found.calibrated:
        end = max(*x, *y)
        axes.plot([0, end], [0, end], color=GREY, linewidth=0.8, linestyle="--", label="as the map says")
        axes.legend(fontsize=7, frameon=False)
    what = "standard deviation" if found.calibrated else "uncalibrated spread"
    axes.set(xlabel=f"{what} (grey values)", ylabel="error (grey values)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_title(f"Error by uncertainty, {len(x)} bins of equal weight", fontsize=9)
    axes.grid(linewidth=0.3)
    return svg(figure, "by-deviation")


def sparsification(found: Within) -> str:
    """Error of what is left when the voxels of largest deviation are taken away; AUSE is the area between the lines."""
    figure = new_figure(4.6, 3.5)
    axes = figure.subplots()
    removed = [100 * part for part in found.curve["removed"]]
    model, oracle = ([100 * value for value in found.curve[name]] for name in ("model", "oracle"))
    axes.fill_between(removed, oracle, model, color=BLUE, alpha=0.12, linewidth=0)
    axes.plot(removed, model, color=BLUE, marker="o", markersize=3, label="most uncertain first")
    axes.plot(removed, oracle, color=ORANGE, linestyle="--", label="largest error first")
    axes.axhline(100, color=GREY, linewidth=0.8, linestyle=":", label="at random")
    axes.set(xlabel="voxels taken away (%)", ylabel="error that is left (% of all)")
    axes.set_ylim(0, max(110.0, *(value + 5 for value in model if math.isfinite(value))))
    axes.set_title(f"AUSE {found.ause.mean:.3f}", fontsize=9)
    axes.legend(fontsize=7, frameon=False, loc="lower left")
    axes.grid(linewidth=0.3)
    return svg(figure, "sparsification")
