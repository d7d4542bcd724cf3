"""The plots of a lesion reading as SVG: free-response curves, and differences of ratios against their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imagetranslation.radiomics.preservation.figures import new_figure, svg

# Okabe and Ito's colours; dashes differ as well.
LOOKS = (("#0072B2", "-"), ("#E69F00", "--"), ("#000000", ":"))
MARKS = (("#0072B2", "o"), ("#D55E00", "^"), ("#009E73", "s"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "x"))
MOST_RATE = 8.0


def froc_plot(curves: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Share of lesions found against false marks an image; curves: `Curve.as_dict` by key, names: words for keys."""
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    for (key, curve), (colour, dash) in zip(curves.items(), LOOKS):
        rates = [point["false_positives_per_image"] for point in curve["points"]]
        found = [point["sensitivity"] for point in curve["points"]]
        axes.plot([*rates, max(MOST_RATE, rates[-1])], [*found, found[-1]], color=colour, linestyle=dash,
                  linewidth=1.8, drawstyle="steps-post", label=names[key])  # fmt: skip
    axes.set(xlim=(0, MOST_RATE), ylim=(0, 1.02), xlabel="false positives an image", ylabel="lesions found")
    axes.grid(linewidth=0.3)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return svg(figure, "froc")


def agreement_plot(lesions: Sequence[Mapping[str, Any]]) -> str:
    """Synthetic less real ratio against their mean, a mark a lesion, by group."""
    usable = [row for row in lesions if row["ratio_synthetic"] != "" and row["ratio_real"] != ""]
    if not usable:
        return ""
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    for place, group in enumerate(dict.fromkeys(str(row["group"]) for row in usable)):
        own = [row for row in usable if row["group"] == group]
        colour, mark = MARKS[place % len(MARKS)]
        axes.scatter([(row["ratio_synthetic"] + row["ratio_real"]) / 2 for row in own],
                     [row["ratio_synthetic"] - row["ratio_real"] for row in own], s=16, c=colour, marker=mark,
                     linewidths=0.8, label=group)  # fmt: skip
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="mean of both uptake ratios", ylabel="synthetic less real")
    axes.grid(linewidth=0.3)
    axes.legend(fontsize=7, frameon=False)
    return svg(figure, "agreement")
