"""The comparison of one region as one HTML page: histograms overlaid, and the table of features."""

from __future__ import annotations

from html import escape
from typing import Any

from .comparison import ROLES, Comparison
from .preservation.figures import new_figure, svg
from .preservation.page import document, number, table_html

# Okabe and Ito's colours; the lines differ as well.
_LINES = {"source": ("#E69F00", ":"), "synthetic": ("#D55E00", "-"), "reference": ("#0072B2", "--")}


def page(found: Comparison) -> str:
    """All of it."""
    roles = [role for role in ROLES if role in found.results]
    first = found.results[roles[0]]
    images = "".join(f"<li>{role}: {escape(_described(found.images[role]))}</li>" for role in roles)
    notes = [*found.roi["notes"], *found.notes, *first.missing]
    notes += [f"{role}: {sentence}" for role in roles for sentence in found.results[role].warnings]
    said = "".join(f"<li>{escape(note)}</li>" for note in dict.fromkeys(notes))
    roi = found.roi
    return document(
        f"Radiomics of {roi['name']}",
        [
            f"<h1>Radiomics of {escape(roi['name'])}</h1>",
            "<p class='headline none'>One of these images is SYNTHETIC, made by a model. Not for diagnosis.</p>",
            f"<ul>{images}</ul>",
            f"<p>{roi['voxels']} voxels, {roi['volume_mm3']:.6g} mm<sup>3</sup>; {len(found.rows)} features by "
            f"{escape(first.engine)} {escape(first.engine_version)}; settings {first.settings['sha256'][:12]}, region "
            f"{roi['sha256'][:12]}.</p>",
            f"<ul class='note'>{said}</ul>",
            "<h2>Intensities in the region</h2>", picture(found), "<h2>Features</h2>", _table(found, roles),
        ],
    )  # fmt: skip


def picture(found: Comparison) -> str:
    """The histograms of the region in each image, overlaid, as SVG."""
    figure = new_figure(7.5, 3.4)
    axes = figure.subplots()
    for role, shares in found.histogram.shares.items():
        colour, line = _LINES[role]
        axes.stairs(100 * shares, found.histogram.edges, color=colour, linestyle=line, linewidth=1.6, label=role)
    settings = next(iter(found.results.values())).settings
    unit = "z-score over the tissue" if settings["normalisation"] == "z-score" else "as stored in each image"
    axes.set(xlabel=f"intensity ({unit})", ylabel="voxels of the region (%)")
    axes.legend(frameon=False)
    return svg(figure, "histogram")


def _described(image: dict[str, Any]) -> str:
    return f"{image['name']} {image['modality']}".strip() + (f" [{image['mark']}]" if image["mark"] else "")


def _table(found: Comparison, roles: list[str]) -> str:
    cohort = any(row.percent == row.percent for row in found.rows)
    header = ["Feature", "family", *roles, f"synthetic - {found.against}"]
    header += ["% of cohort SD", "flag"] if cohort else ["flag"]
    rows = []
    for row in found.rows:
        shown = row.name + (f" ({row.aggregation})" if row.aggregation else "")
        shown += "" if row.image_type == "original" else f" [{row.image_type}]"
        percent = [f"{row.percent:.0f}" if row.percent == row.percent else "–"] if cohort else []
        numbers = [number(row.values[role]) for role in roles]
        rows.append([shown, row.family, *numbers, number(row.difference), *percent, row.flag])
    return table_html(header, rows, 2)
