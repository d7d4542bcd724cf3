"""The comparison of one region as one HTML page: histograms overlaid, and the table of features."""

from __future__ import annotations

from html import escape

from .comparison import Comparison
from .comparisonplots import LINES, histogram_curves
from .comparisonview import cells, columns, image_text, notes, roles, status_text
from .preservation.figures import new_figure, svg
from .preservation.page import document, table_html


def page(found: Comparison) -> str:
    """All of it."""
    images = "".join(f"<li>{escape(image_text(found, role))}</li>" for role in roles(found))
    said = "".join(f"<li>{escape(note)}</li>" for note in notes(found))
    return document(
        f"Radiomics of {found.roi['name']}",
        [
            f"<h1>Radiomics of {escape(found.roi['name'])}</h1>",
            "<p class='headline none'>One of these images is SYNTHETIC, made by a model. Not for diagnosis.</p>",
            f"<ul>{images}</ul>",
            f"<p>{escape(status_text(found))}</p>",
            f"<ul class='note'>{said}</ul>",
            "<h2>Intensities in the region</h2>", picture(found), "<h2>Features</h2>", _table(found),
        ],
    )  # fmt: skip


def picture(found: Comparison) -> str:
    """The histograms of the region in each image, overlaid, as SVG."""
    figure = new_figure(7.5, 3.4)
    axes = figure.subplots()
    curves = histogram_curves(found)
    for role, y in curves.y.items():
        colour, line = LINES[role]
        axes.plot(curves.x, y, color=colour, linestyle=line, linewidth=1.6, label=role)
    axes.set(xlabel=curves.axis, ylabel="voxels of the region (%)")
    axes.legend(frameon=False)
    return svg(figure, "histogram")


def _table(found: Comparison) -> str:
    header = [column.title for column in columns(found)]
    return table_html(header, [cells(found, row) for row in found.rows], 1)
