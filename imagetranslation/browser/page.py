"""The page around the pictures: bars, drawers, sliders, help. It only names state variables and actions.

What the variables mean and what the actions do is `app`'s; how it looks in detail is `static/viewer.css`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v

from .. import appearance
from . import radiomicspanel
from .viewstate import CHECKERBOARD, DIFFERENCE, FADE, SIDE_BY_SIDE, UNCERTAINTY

if TYPE_CHECKING:
    from trame_server import Server

    from .radiomicsdesk import RadiomicsDesk

STATIC = Path(__file__).with_name("static")
NOT_FOR_DIAGNOSIS = (
    "Not for diagnosis. Synthetic images are made by a model: they can show what is not there and miss what is."
)
THEME = {
    "theme": {
        "defaultTheme": "reading",
        "themes": {
            "reading": {
                "dark": True,
                "colors": {
                    "background": "#0a0d12",
                    "surface": "#11161e",
                    "primary": "#5cc8ff",
                    "secondary": "#8b98ab",
                    "warning": "#ffc107",
                    "error": "#ff6b6b",
                },
            }
        },
    }
}
MODE_BUTTONS = (
    (SIDE_BY_SIDE, "mdi-view-parallel-outline", "Side by side", "Source and synthetic next to each other (B)"),
    (FADE, "mdi-circle-opacity", "Fade", "One over the other, mixed by a slider (F)"),
    (CHECKERBOARD, "mdi-checkerboard", "Checker", "Alternating squares of both (C)"),
    (DIFFERENCE, "mdi-plus-minus-variant", "Difference", "Where the grey values differ (D)"),
    (UNCERTAINTY, "mdi-help-rhombus-outline", "Uncertainty", "How sure the model is, over the synthetic image (U)"),
)
PLANE_BUTTONS = (("axial", "Axial", "1"), ("sagittal", "Sagittal", "2"), ("coronal", "Coronal", "3"))
HELP = (
    (("Wheel",), "leaf through the slices; all views follow"),
    (("\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}"), "one slice on or back; Page Up and Page Down: five"),
    (("Drag",), "left button: brightness (up, down) and contrast (left, right) of that image"),
    (("Right drag",), "zoom; all views follow"),
    (("Shift + drag",), "move the picture; also with the middle button"),
    (("1", "2", "3"), "axial, sagittal, coronal"),
    (("Space", "S"), "swap the two images in place, to see them flicker"),
    (("B", "F", "C", "D", "U"), "side by side, fade, checkerboard, difference, uncertainty"),
    (("R",), "reset zoom, position and brightness"),
    (("N", "P"), "next and previous case"),
    *radiomicspanel.HELP,
)


class Actions(Protocol):
    """What the page's buttons call."""

    def step(self, slices: int) -> None:
        """Leaf by so many slices."""

    def swap(self) -> None:
        """Exchange the two images in place."""

    def reset(self) -> None:
        """Undo zoom, position and windows."""

    def reset_window(self, image: str) -> None:
        """Undo one image's window."""

    def open_case(self, index: int) -> None:
        """Show another case."""


def assets() -> dict[str, object]:
    """The page's own style and keys, for `server.enable_module`; nothing is fetched from elsewhere."""
    folder = "imagetranslation_browser"
    return {
        "serve": {folder: str(STATIC)},
        "scripts": [f"{folder}/viewer.js", f"{folder}/radiomics.js"],
        "styles": [f"{folder}/viewer.css"],
    }


def build(server: Server, view_names: Sequence[str], actions: Actions, desk: RadiomicsDesk) -> VAppLayout:
    """Write the page for views of those template names; returns the layout."""
    layout = VAppLayout(server, vuetify_config=THEME, full_height=True)
    with layout:
        _top_bar(actions)
        _case_list(actions)
        _tools(actions, desk)
        with v.VMain(style="height: 100vh"), html.Div(classes="it-shell"):
            _notes()
            with html.Div(
                classes="it-views", style=("`grid-template-columns: repeat(${pane_count}, minmax(0, 1fr))`",)
            ):
                for n, name in enumerate(view_names):
                    _view(n, name)
            _slice_bar(actions)
            radiomicspanel.results(desk)
        with v.VFooter(app=True, height=30, classes="it-footer py-0", style="color: #ffc107; background: #11161e"):
            html.Span(NOT_FOR_DIAGNOSIS)
        _help()
        with v.VSnackbar(v_model=("error_shown",), color="error", timeout=-1, location="bottom end"):
            html.Span("{{ error }}", id="it-error")
            with v.Template(v_slot_actions=True):
                v.VBtn("Close", variant="text", click="error_shown = false")
    return layout


def _top_bar(actions: Actions) -> None:
    with v.VAppBar(height=52, color="surface", elevation=0, border="b"):
        v.VAppBarNavIcon(click="cases_open = !cases_open", title="Cases")
        with html.Div(classes="d-flex flex-column mr-6", style="min-width: 0"):
            html.Div("{{ case_name }}", id="it-case-name", classes="text-subtitle-1 font-weight-medium text-truncate")
        with v.VBtnToggle(
            v_model=("plane",), mandatory=True, density="compact", variant="outlined", divided=True, color="primary",
            classes="mr-4",
        ):  # fmt: skip
            for value, words, key in PLANE_BUTTONS:
                v.VBtn(
                    words, value=value, id=f"it-plane-{value}", title=f"{words} slices ({key})", size="small",
                    disabled=(f"!planes.includes('{value}')",),
                )  # fmt: skip
        with v.VBtnToggle(
            v_model=("mode",), mandatory=True, density="compact", variant="outlined", divided=True, color="primary"
        ):
            for value, icon, words, hint in MODE_BUTTONS:
                refusal = {DIFFERENCE: "difference_refusal", UNCERTAINTY: "uncertainty_refusal"}.get(value)
                off = {"disabled": (f"!!{refusal}",)} if refusal else {}
                title = (f"{refusal} || '{hint}'",) if refusal else hint
                with v.VBtn(value=value, id=f"it-mode-{value}", title=title, size="small", **off):
                    v.VIcon(icon, size="large")
                    html.Span(words, classes="d-none d-lg-inline ml-2")
        v.VSpacer()
        v.VProgressCircular(
            indeterminate=True, size=20, width=2, v_if=("loading",), classes="mr-2", color="primary", id="it-loading"
        )
        v.VBtn(
            icon="mdi-chart-bell-curve", title="Radiomics: draw a region and compare its features (M)",
            id="it-radiomics-open", click="rx_open = !rx_open; tools_open = true",
            color=("rx_open ? 'primary' : undefined",),
        )  # fmt: skip
        v.VBtn(icon="mdi-swap-horizontal", title="Swap the two images (Space)", id="it-swap", click=actions.swap)
        v.VBtn(icon="mdi-fit-to-page-outline", title="Reset the views (R)", id="it-reset", click=actions.reset)
        v.VBtn(icon="mdi-tune-variant", title="Brightness, model details", click="tools_open = !tools_open")
        v.VBtn(icon="mdi-help-circle-outline", title="Help (?)", id="it-help", click="help_open = true")


def _case_list(actions: Actions) -> None:
    with v.VNavigationDrawer(v_model=("cases_open",), width=216, color="surface", border="e", permanent=True):
        with html.Div(classes="it-section pb-0"):
            html.Div("Cases ({{ case_count }})", classes="it-heading")
        with html.Div(v_if="case_count > 8", classes="px-3 pb-2"):
            v.VTextField(
                v_model=("search",), placeholder="Search", id="it-search", density="compact", variant="outlined",
                hide_details=True, clearable=True, prepend_inner_icon="mdi-magnify",
            )  # fmt: skip
        with v.VList(density="compact", nav=True, bg_color="surface", id="it-cases"):
            v.VListItem(
                v_for="item in cases",
                key=("item.index",),
                title=("item.name",),
                active=("item.index === case_index",),
                color="primary",
                prepend_icon=("item.index === case_index ? 'mdi-folder-open-outline' : 'mdi-folder-outline'",),
                click=(actions.open_case, "[item.index]"),
                classes="it-case",
            )
            html.Div("No case of that name.", v_if="!cases.length", classes="it-small px-2")


def _tools(actions: Actions, desk: RadiomicsDesk) -> None:
    with v.VNavigationDrawer(
        v_model=("tools_open",), location="right", width=300, color="surface", border="s", permanent=True
    ):
        with html.Div(classes="it-tabs"):
            for words, on, name in (("View", "!rx_open", "view"), ("Radiomics", "rx_open", "radiomics")):
                v.VBtn(
                    words, size="small", variant=(f"{on} ? 'tonal' : 'text'",), color=(f"{on} ? 'primary' : ''",),
                    click=f"rx_open = {'true' if name == 'radiomics' else 'false'}", id=f"it-tab-{name}",
                )  # fmt: skip
        radiomicspanel.drawer(desk)
        with html.Div(v_if="!rx_open"):
            _compare_controls()
            with html.Div(classes="it-section"):
                html.Div("Brightness and contrast", classes="it-heading")
                for image, words in (("source", "Source"), ("synthetic", "Synthetic"), ("reference", "Reference")):
                    _window_slider(image, words, actions)
            v.VDivider(classes="mt-2")
            with html.Div(classes="it-section", id="it-details"):
                html.Div("How the synthetic image was made", classes="it-heading")
                with html.Div(v_for="row in details", key=("row.name",), classes="it-fact"):
                    html.Span("{{ row.name }}")
                    html.Span("{{ row.value }}")


def _compare_controls() -> None:
    with html.Div(v_if=f"mode === '{FADE}' || mode === '{CHECKERBOARD}'"):
        with html.Div(classes="it-section", v_if="partners.length > 1"):
            html.Div("Synthetic over", classes="it-heading")
            with v.VBtnToggle(
                v_model=("partner",), mandatory=True, density="compact", variant="outlined", divided=True,
                color="primary",
            ):  # fmt: skip
                v.VBtn("Source", value="source", size="small", id="it-partner-source")
                v.VBtn("Reference", value="reference", size="small", id="it-partner-reference")
        with html.Div(classes="it-section", v_if=f"mode === '{FADE}'"):
            with html.Div(classes="it-row"):
                html.Span("{{ partner === 'source' ? 'Source' : 'Reference' }}")
                html.Span("Synthetic", classes="text-warning")
            v.VSlider(
                v_model=("opacity",), min=0, max=1, step=0.01, hide_details=True, color="primary", id="it-opacity"
            )
        with html.Div(classes="it-section", v_if=f"mode === '{CHECKERBOARD}'"):
            with html.Div(classes="it-row"):
                html.Span("Square size")
                html.Span("{{ square.toFixed(1) }} mm", classes="it-number")
            v.VSlider(
                v_model=("square",), min=("square_range[0]",), max=("square_range[1]",), step=("square_range[2]",),
                hide_details=True, color="primary", id="it-square",
            )  # fmt: skip
        v.VDivider(classes="mt-2")
    with html.Div(v_if=f"mode === '{DIFFERENCE}'"):
        with html.Div(classes="it-section", id="it-legend"):
            html.Div("Difference", classes="it-heading")
            html.Div(classes="it-bar", style=f"background: {_gradient()}")
            with html.Div(classes="it-row it-number"):
                html.Span(f"\N{MINUS SIGN}{appearance.DIFFERENCE_LIMIT:.0f} %")
                html.Span("0")
                html.Span(f"+{appearance.DIFFERENCE_LIMIT:.0f} %")
            html.Div("{{ legend }}", classes="it-small mt-2")
        v.VDivider(classes="mt-2")
    with html.Div(v_if=f"mode === '{UNCERTAINTY}'"):
        with html.Div(classes="it-section", id="it-uncertainty-legend"):
            html.Div("{{ uncertainty_title }}", classes="it-heading")
            html.Div(classes="it-bar", style=f"background: {_uncertainty_gradient()}")
            with html.Div(classes="it-row it-number"):
                html.Span("0")
                html.Span("{{ uncertainty_limit / 2 }}")
                html.Span("\N{GREATER-THAN OR EQUAL TO} {{ uncertainty_limit }}")
            html.Div("{{ uncertainty_legend }}", classes="it-small mt-2")
            html.Div("Map over the image", classes="it-heading mt-3")
            v.VSlider(
                v_model=("opacity",), min=0, max=1, step=0.01, hide_details=True, color="primary",
                id="it-uncertainty-opacity",
            )  # fmt: skip
        v.VDivider(classes="mt-2")


def _window_slider(image: str, words: str, actions: Actions) -> None:
    with html.Div(v_if=f"images.includes('{image}')", classes="mb-2"):
        with html.Div(classes="it-row"):
            html.Span(f"{words} {{{{ modalities.{image} }}}}", classes="text-warning" if image == "synthetic" else "")
            with html.Div(classes="d-flex align-center"):
                html.Span(
                    f"{{{{ window_{image}[0] }}}} \N{EN DASH} {{{{ window_{image}[1] }}}}",
                    classes="it-number", id=f"it-window-text-{image}",
                )  # fmt: skip
                v.VBtn(
                    icon="mdi-restore", size="x-small", variant="text", title="Back to the default",
                    id=f"it-window-reset-{image}", click=(actions.reset_window, f"['{image}']"),
                )  # fmt: skip
        v.VRangeSlider(
            v_model=(f"window_{image}",), min=(f"range_{image}[0]",), max=(f"range_{image}[1]",),
            step=(f"range_{image}[2]",), hide_details=True, strict=True, id=f"it-window-{image}",
            color="warning" if image == "synthetic" else "primary",
        )  # fmt: skip


def _notes() -> None:
    with v.VAlert(
        v_if=("notes.length && notes_open",), type="warning", variant="tonal", density="compact", closable=True,
        classes="it-banner flex-grow-0", id="it-notes", click_close="notes_open = false",
    ):  # fmt: skip
        html.Div("{{ note }}", v_for="(note, n) in notes", key=("n",))


def _view(number: int, name: str) -> None:
    text = f"pane_texts[{number}]"
    with html.Div(
        v_if=f"pane_count > {number}",
        classes=(f"['it-view', pane_synthetic[{number}] ? 'it-synthetic' : '']",),
        id=f"it-view-{number}",
        raw_attrs=['role="img"', f':aria-label="{text}"'],
    ):
        client.ServerTemplate(name=name)
        html.Span(f"{{{{ {text} }}}}", classes="it-unseen it-text")
        for place, n in (("left", 0), ("right", 1), ("top", 2), ("bottom", 3)):
            html.Span(f"{{{{ letters[{n}] }}}}", classes=f"it-letter it-{place}")


def _slice_bar(actions: Actions) -> None:
    with html.Div(classes="it-slicebar"):
        v.VBtn(
            icon="mdi-chevron-left", size="small", variant="text", title="Previous slice", click=(actions.step, "[-1]")
        )
        v.VSlider(
            v_model=("slice_shown",), min=1, max=("slice_count",), step=1, hide_details=True, color="primary",
            disabled=("slice_count < 2",), id="it-slice",
        )  # fmt: skip
        v.VBtn(icon="mdi-chevron-right", size="small", variant="text", title="Next slice", click=(actions.step, "[1]"))
        html.Div(
            "{{ plane[0].toUpperCase() + plane.slice(1) }} {{ slice_shown }} / {{ slice_count }}",
            classes="it-slicetext", id="it-slice-text",
        )  # fmt: skip


def _help() -> None:
    with v.VDialog(v_model=("help_open",), max_width=640), v.VCard(title="How to use this page"):
        with v.VCardText():
            with html.Table(classes="it-help"):
                for keys, words in HELP:
                    with html.Tr():
                        with html.Td(style="white-space: nowrap"):
                            for key in keys:
                                html.Span(key, classes="it-key")
                        html.Td(words)
            html.P(
                "Amber text stands in every view that shows anything a model made. The page shows one reading room: "
                "two tabs or two people at the same address see and move the same pictures.",
                classes="mt-4 it-small",
            )
            html.P(NOT_FOR_DIAGNOSIS, classes="mt-2 text-warning text-body-2")
        with v.VCardActions():
            v.VSpacer()
            v.VBtn("Close", click="help_open = false", color="primary")


def _gradient() -> str:
    less, more = (f"rgb({', '.join(map(str, rgb))})" for rgb in (appearance.LESS_RGB, appearance.MORE_RGB))
    return f"linear-gradient(to right, {less}, #000, {more})"


def _uncertainty_gradient() -> str:
    colours = appearance.uncertainty_colours(np.linspace(0, 1, 9))[:, :3]
    return f"linear-gradient(to right, {', '.join(f'rgb({r}, {g}, {b})' for r, g, b in colours)})"
