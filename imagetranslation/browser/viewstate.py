"""What each view of the page shows in each compare mode, and the words that go with it.

Pure rules on names of images ("source", "synthetic", "reference" and the two derived ones); no trame, no MRML, no
arrays. `stage` puts them into slice views, `page` draws the controls.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .. import deviationmaps
from ..appearance import DIFFERENCE_MEANING, why_no_difference
from ..provenance import corner_text
from .cases import LoadedCase

SIDE_BY_SIDE, FADE, CHECKERBOARD, DIFFERENCE = "side-by-side", "fade", "checkerboard", "difference"
UNCERTAINTY = "uncertainty"
MODES = (SIDE_BY_SIDE, FADE, CHECKERBOARD, DIFFERENCE, UNCERTAINTY)
NO_UNCERTAINTY = "No uncertainty map: translate with --uncertainty auto, or give a map with --uncertainty-map."


@dataclass(frozen=True)
class Pane:
    """One slice view. background, foreground: names of images; opacity: of the foreground, 0 to 1."""

    background: str
    foreground: str | None = None
    opacity: float = 1.0


@dataclass(frozen=True)
class Choice:
    """What a person has chosen. partner: the image compared with the synthetic one. opacity: share of the synthetic
    image in a fade, or of the uncertainty map laid over it. swapped: the two compared images have changed
    places (a fade has its slider for that)."""

    mode: str = SIDE_BY_SIDE
    partner: str = "source"
    opacity: float = 0.5
    swapped: bool = False


def partners(case: LoadedCase) -> tuple[str, ...]:
    """The images the synthetic one can be faded or checkered with."""
    return ("source", "reference") if case.reference is not None else ("source",)


def difference_partner(case: LoadedCase) -> tuple[str, str | None]:
    """The image subtracted in the difference picture (the reference where there is one, otherwise the source), and
    the sentence why there is no such picture, or None."""
    if case.reference is not None:
        return "reference", why_no_difference(case.synthetic, case.reference)
    refusal = why_no_difference(case.synthetic, case.source)
    if not case.source.modality:
        refusal = "No difference picture: it is not known what kind of image the source is."
    return "source", None if refusal is None else f"{refusal} Give a reference image to see one."


def panes(choice: Choice, case: LoadedCase) -> tuple[Pane, ...]:
    """The views from left to right: one to three. A mode or partner the case cannot serve falls back."""
    partner = choice.partner if choice.partner in partners(case) else "source"
    if choice.mode == FADE:
        return (Pane(partner, "synthetic", choice.opacity),)
    if choice.mode == CHECKERBOARD:
        return (Pane(partner, "checkerboard"),)
    if choice.mode == DIFFERENCE and difference_partner(case)[1] is None:
        pair = [Pane("synthetic"), Pane(difference_partner(case)[0])]
        return (*(reversed(pair) if choice.swapped else pair), Pane("difference"))
    if choice.mode == UNCERTAINTY and case.uncertainty is not None:
        pair = [Pane("source"), Pane("synthetic")]
        return (*(reversed(pair) if choice.swapped else pair), Pane("synthetic", "uncertainty", choice.opacity))
    first = [Pane("source"), Pane("synthetic")]
    shown = [*reversed(first)] if choice.swapped else first
    return (*shown, Pane("reference")) if case.reference is not None else tuple(shown)


def label(image: str, case: LoadedCase) -> str:
    """The words drawn into a view for one image; those of synthetic and derived ones carry the mark."""
    mark = corner_text(case.provenance)
    if image == "source":
        return _with_modality("source", case.source.modality)
    if image == "reference" and case.reference is not None:
        return _with_modality("reference (real)", case.reference.modality)
    if image == "difference":
        return f"{mark}\ndifference: synthetic minus {difference_partner(case)[0]}"
    if image == "uncertainty" and case.uncertainty is not None:
        return f"{mark}\n{deviationmaps.legend_title(case.uncertainty)}"
    return mark


def pane_text(pane: Pane, case: LoadedCase) -> str:
    """All words drawn into a view; an image of opacity 0 is not shown and not named."""
    images = [pane.background]
    if pane.foreground is not None and pane.opacity > 0:
        images.insert(0, pane.foreground)
    return words_of(images, case)


def words_of(images: Iterable[str], case: LoadedCase) -> str:
    """The labels of these images, top layer first, each line once."""
    lines = [line for image in images for line in label(image, case).splitlines()]
    return "\n".join(dict.fromkeys(lines))


def difference_legend(case: LoadedCase) -> str:
    """The sentence under the colour bar of the difference picture."""
    meaning = DIFFERENCE_MEANING.format(other=difference_partner(case)[0])
    return f"{meaning[0].upper()}{meaning[1:]}; it does not follow the window sliders."


def uncertainty_title(case: LoadedCase) -> str:
    """The words over the colour bar of the uncertainty map; "" for a case without one."""
    return "" if case.uncertainty is None else deviationmaps.legend_title(case.uncertainty)


def uncertainty_legend(case: LoadedCase) -> str:
    """The sentence under the colour bar of the uncertainty map; "" for a case without one."""
    return "" if case.uncertainty is None else deviationmaps.legend_sentence(case.uncertainty)


def details(case: LoadedCase) -> list[dict[str, str]]:
    """Rows of the model panel: `{"name", "value"}`, only those with a value."""
    record = case.provenance
    rows = {
        "Model": record.model,
        "Version": record.version,
        "Weights": record.weights_sha256[:12],
        "Task": record.task,
        "Imitates": record.modality,
        "Made from": record.source,
        "Created": record.created.replace("T", " ").replace("Z", " UTC"),
        "Software": record.software,
    }
    return [{"name": name, "value": value} for name, value in rows.items() if value]


def _with_modality(words: str, modality: str) -> str:
    return f"{words} \N{MIDDLE DOT} {modality}" if modality else words
