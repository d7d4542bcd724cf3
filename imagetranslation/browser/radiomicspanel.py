"""The radiomics panel of the page: drawing tools, regions and comparison in the drawer; table and picture below.

It only names state variables and actions; what they mean and do is `radiomicsdesk`'s and `radiomicstable`'s. Files go
to and from the page in `static/radiomics.js`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trame.widgets import html
from trame.widgets import vuetify3 as v

from ..radiomics.dicomreport import TYPES
from .plots import BLAND_ALTMAN, HISTOGRAM, RADAR

if TYPE_CHECKING:
    from .radiomicsdesk import RadiomicsDesk

TOOLS = (
    ("pointer", "mdi-cursor-default-outline", "Pointer: drag changes brightness (Q)"),
    ("brush", "mdi-brush", "Brush (W)"),
    ("eraser", "mdi-eraser", "Eraser (E)"),
    ("outline", "mdi-lasso", "Outline: draw round the region, it is filled (O)"),
    ("scissors", "mdi-content-cut", "Scissors: what you draw round is cut away (X)"),
)
FEATURES = (
    ("pyradiomics", "PyRadiomics, 107 features"),
    ("paper186", "MIRP, 185 features"),
    ("ibsi", "MIRP, all of IBSI"),
)
PICTURES = (
    (HISTOGRAM, "mdi-chart-bell-curve", "Histogram"),
    (BLAND_ALTMAN, "mdi-chart-scatter-plot", "Bland-Altman"),
    (RADAR, "mdi-radar", "Radar"),
)
HELP = (
    (("M",), "radiomics: draw a region and compare its features"),
    (("Q", "W", "E", "O", "X"), "pointer, brush, eraser, outline, scissors"),
    (("[", "]"), "smaller and larger brush; also Shift and the wheel"),
    (("Ctrl Z", "Ctrl Y"), "undo and redo what was drawn"),
    (("Enter",), "compare the region"),
)
NORMALISED = "Mean 0 and SD 1 over what is brighter than Otsu's threshold in the source, the same voxels in all images."
ACCEPTED = ".nrrd,.nhdr,.nii,.gz,.mha,.dcm,.seg,.hdr"


def drawer(desk: RadiomicsDesk) -> None:
    """The tools, for the drawer on the right."""
    with html.Div(v_if="rx_open", id="it-radiomics"):
        _tools(desk)
        v.VDivider(classes="mt-1")
        _regions(desk)
        v.VDivider(classes="mt-1")
        _comparison(desk)


def results(desk: RadiomicsDesk) -> None:
    """Table and picture, under the views."""
    with html.Div(
        v_if="rx_open && rx_found", id="it-results",
        classes=("['it-results', rx_stale || rx_running ? 'it-stale' : '', rx_large ? 'it-large' : '']",),
    ):  # fmt: skip
        with html.Div(classes="it-results-left"):
            _filters(desk)
            _table(desk)
            with html.Div(classes="it-small it-made"):
                html.Span("{{ rx_made }}", id="it-made")
                html.Span(
                    "{{ rx_notes.length === 1 ? '1 note' : `${rx_notes.length} notes` }}", v_if="rx_notes.length",
                    title=("rx_notes.join('\\n')",),
                    id="it-rx-notes", classes="it-notes-hint",
                )  # fmt: skip
        _picture(desk)


def _tools(desk: RadiomicsDesk) -> None:
    with html.Div(classes="it-section"):
        html.Div("Draw", classes="it-heading")
        with html.Div(classes="d-flex align-center justify-space-between"):
            with v.VBtnToggle(
                v_model=("rx_tool",), mandatory=True, density="compact", variant="outlined", divided=True,
                color="primary",
            ):  # fmt: skip
                for value, icon, hint in TOOLS:
                    with v.VBtn(value=value, title=hint, size="small", id=f"it-tool-{value}", classes="it-tool",
                                raw_attrs=[f'aria-label="{hint}"']):  # fmt: skip
                        v.VIcon(icon, size="large")
            with html.Div():
                _icon("mdi-undo", "Undo (Ctrl+Z)", desk.undo, "it-undo", "!rx_can_undo")
                _icon("mdi-redo", "Redo (Ctrl+Y)", desk.redo, "it-redo", "!rx_can_redo")
        with html.Div(v_if="rx_tool === 'brush' || rx_tool === 'eraser'", classes="mt-2"):
            with html.Div(classes="it-row"):
                html.Span("Diameter")
                html.Span("{{ Number(rx_brush).toFixed(1) }} mm", classes="it-number", id="it-brush-text")
            v.VSlider(
                v_model=("rx_brush",), min=("rx_brush_range[0]",), max=("rx_brush_range[1]",), step=0.1,
                hide_details=True, color="primary", density="compact", id="it-brush",
            )  # fmt: skip
            _switch("rx_ball", "Ball: also the slices beside", "it-ball")
        with html.Div(v_if="rx_tool === 'scissors'", classes="mt-1"):
            _switch("rx_through", "Through all slices", "it-through")


def _regions(desk: RadiomicsDesk) -> None:
    with html.Div(classes="it-section"):
        with html.Div(classes="it-row"):
            html.Div("Regions", classes="it-heading mb-0")
            with html.Div():
                v.VProgressCircular(indeterminate=True, size=16, width=2, v_if=("rx_reading",), classes="mr-1")
                _icon("mdi-plus", "Another region", desk.add, "it-region-add")
                with html.Label(classes="it-file", title="Load regions: labelmap, .seg.nrrd or DICOM SEG"):
                    v.VIcon("mdi-folder-open-outline", size=20)
                    html.Input(
                        type="file", id="it-region-file", classes="it-unseen",
                        raw_attrs=['data-it-send="regions"', f'accept="{ACCEPTED}"', 'aria-label="Load regions"'],
                    )  # fmt: skip
                with v.VMenu(location="bottom end"):
                    with v.Template(v_slot_activator="{ props }"):
                        v.VBtn(v_bind="props", icon="mdi-content-save-outline", size="small", variant="text",
                               title="Save all regions", id="it-region-save")  # fmt: skip
                    with v.VList(density="compact", bg_color="surface"):
                        for ending, words in ((".seg.nrrd", "Segmentation (.seg.nrrd)"), (".nii.gz", "NIfTI labelmap")):
                            v.VListItem(title=words, raw_attrs=[f'data-it-file="{ending}"'])
        with html.Div(
            v_for="each in rx_segments", key=("each.id",), click=(desk.choose, "[each.id]"),
            classes=("['it-region', each.id === rx_chosen ? 'it-chosen' : '']",),
        ):  # fmt: skip
            html.Input(
                type="color", classes="it-colour", value=("each.colour",), title="Colour",
                change=(desk.rename, "[each.id, each.name, $event.target.value]"),
                raw_attrs=['aria-label="Colour of the region"'],
            )  # fmt: skip
            # The name is the attribute, not the property: the property is written again with every change of the list,
            # such as a comparison that ends, and what was being typed would be gone.
            html.Input(
                type="text", classes="it-name", key=("each.name",), maxlength=60, title="Name",
                change=(desk.rename, "[each.id, $event.target.value, each.colour]"),
                raw_attrs=[
                    'aria-label="Name of the region"', ':value.attr="each.name"',
                    '@keydown.enter="$event.target.blur()"',
                    '@blur="$event.target.value = $event.target.value.trim() || each.name"',
                ],
            )  # fmt: skip
            html.Span("{{ each.voxels ? each.volume : 'empty' }}", classes="it-number it-volume",
                      title=("`${each.voxels} voxels`",))  # fmt: skip
            v.VBtn(
                icon=("each.visible ? 'mdi-eye-outline' : 'mdi-eye-off-outline'",), size="x-small", variant="text",
                title="Show or hide", click=(desk.show, "[each.id, !each.visible]"),
            )  # fmt: skip
            v.VBtn(icon="mdi-delete-outline", size="x-small", variant="text", title="Remove, or empty the last one",
                   click=(desk.remove, "[each.id]"))  # fmt: skip


def _comparison(desk: RadiomicsDesk) -> None:
    with html.Div(classes="it-section"):
        html.Div("Compare", classes="it-heading")
        v.VSelect(
            v_model=("rx_features",), items=("rx_feature_items", _feature_items()), density="compact",
            variant="outlined", hide_details=True, id="it-features",
            item_props=("(item) => ({ disabled: !!rx_engines[item.value], subtitle: rx_engines[item.value] })",),
        )  # fmt: skip
        with html.Div(classes="it-row mt-2"):
            html.Span("Grey levels")
            html.Input(type="number", classes="it-levels", value=("rx_bins",), change="rx_bins = $event.target.value",
                       min=8, max=256, id="it-bins", raw_attrs=['aria-label="Grey levels"'])  # fmt: skip
        _switch("rx_normalise", "Normalise over tissue (z-score)", "it-normalise", NORMALISED)
        _switch("rx_live", "Follow the drawing", "it-live", "Compare again when the region has changed.")
        with html.Div(classes="it-row"):
            html.Span("{{ rx_cohort || 'No cohort' }}", classes="text-truncate", id="it-cohort",
                      title="features.csv of a preservation report: differences in percent of its SD")  # fmt: skip
            with html.Div(style="white-space: nowrap"):
                v.VBtn(icon="mdi-close", size="x-small", variant="text", title="Without the cohort",
                       v_if="rx_cohort", click=desk.forget_cohort)  # fmt: skip
                with html.Label(classes="it-file", title="Load a cohort (features.csv of a preservation report)"):
                    v.VIcon("mdi-account-group-outline", size=20)
                    html.Input(
                        type="file", id="it-cohort-file", classes="it-unseen",
                        raw_attrs=['data-it-send="cohort"', 'accept=".csv"', 'aria-label="Load a cohort"'],
                    )  # fmt: skip
        with html.Div(classes="d-flex align-center mt-2", style="gap: 8px"):
            v.VBtn(
                "Compare", color="primary", variant="flat", classes="flex-grow-1", id="it-compare", size="small",
                prepend_icon="mdi-compare-horizontal", disabled=("!!rx_refusal || rx_running",), click=desk.compare,
                title="Compare the chosen region (Enter)",
            )  # fmt: skip
            v.VBtn("Cancel", variant="outlined", id="it-cancel", size="small", disabled=("!rx_running",),
                   click=desk.cancel)  # fmt: skip
        v.VProgressLinear(
            model_value=("rx_progress",), indeterminate=("rx_progress < 1",), color="primary", height=3,
            classes="mt-2", style=("`visibility: ${rx_running ? 'visible' : 'hidden'}`",), id="it-progress",
        )  # fmt: skip
        html.Div("{{ rx_refusal }}", v_if="rx_refusal", classes="it-small mt-1", id="it-refusal")
        html.Div("{{ rx_status }}", v_if="rx_status", classes="it-small mt-1 it-said", id="it-rx-status")
        html.Div("{{ rx_left_out }}", v_if="rx_left_out", classes="it-small mt-1", id="it-left-out")


def _filters(desk: RadiomicsDesk) -> None:
    with html.Div(classes="it-filters"):
        v.VTextField(
            v_model=("rx_text",), placeholder="Filter features", density="compact", variant="outlined",
            hide_details=True, clearable=True, prepend_inner_icon="mdi-magnify", id="it-rx-text",
        )  # fmt: skip
        v.VSelect(
            v_model=("rx_family",), id="it-rx-family", density="compact", variant="outlined", hide_details=True,
            items=("[{ title: 'All classes', value: '' }, ...rx_families.map(f => ({ title: f, value: f }))]",),
        )  # fmt: skip
        v.VSelect(
            v_model=("rx_flag",), id="it-rx-flag", density="compact", variant="outlined", hide_details=True,
            items=(
                "[{ title: 'All', value: '' }, { title: 'Flagged', value: 'flagged' }, "
                "{ title: 'Not flagged', value: 'unflagged' }, ...rx_flags.map(f => ({ title: f, value: f }))]",
            ),
        )  # fmt: skip
        html.Span("{{ rx_rows.length }} of {{ rx_row_count }}", classes="it-number", id="it-rx-count")
        v.VSpacer()
        for what, icon, hint in (
            ("clipboard", "mdi-content-copy", "Copy the rows shown, with all digits"),
            ("csv", "mdi-file-delimited-outline", "Download the rows shown as CSV"),
        ):
            v.VBtn(icon=icon, size="small", variant="text", title=hint, id=f"it-rx-{what}",
                   raw_attrs=[f'data-it-file="{what}"', f'aria-label="{hint}"'])  # fmt: skip
        _dicom()
        v.VBtn(icon=("rx_large ? 'mdi-arrow-collapse' : 'mdi-arrow-expand'",), size="small", variant="text",
               title="More or less room for the results", id="it-rx-large", click="rx_large = !rx_large")  # fmt: skip


def _dicom() -> None:
    """Report and segmentation; what the region is has to be said in both."""
    sentence = ("rx_dicom || 'Whether DICOM can be written is being found out.'",)
    with html.Span(title=sentence), v.VMenu(location="top end", max_width=340):
        with v.Template(v_slot_activator="{ props }"):
            v.VBtn(
                "DICOM", v_bind="props", size="small", variant="text", id="it-rx-dicom",
                disabled=("!rx_dicom_offered || rx_reading",), raw_attrs=['aria-label="DICOM SR and SEG"'],
            )  # fmt: skip
        with v.VList(density="compact", bg_color="surface", id="it-rx-dicom-list"):
            html.Div("{{ rx_dicom }} The region is:", classes="it-small px-4 pb-1")
            for code in TYPES:
                v.VListItem(title=code.meaning, raw_attrs=[f'data-it-file="dicom:{code.meaning.lower()}"'])


def _table(desk: RadiomicsDesk) -> None:
    with html.Div(classes="it-table", raw_attrs=['tabindex="0"']), html.Table(id="it-rx-table"):
        with html.Thead(), html.Tr(), html.Th(
            v_for="each in rx_columns", key=("each.id",), title=("each.meaning",),
            click=(desk.table.sort, "[each.id]"),
            classes=("[each.numeric ? 'it-figures' : '', each.id === 'synthetic' ? 'text-warning' : '']",),
            raw_attrs=[
                ":aria-sort=\"each.id !== rx_sort ? 'none' : rx_descending ? 'descending' : 'ascending'\"",
                ':data-it-column="each.id"',
            ],
        ):  # fmt: skip
            html.Span("{{ each.title }}")
            v.VIcon(icon=("rx_descending ? 'mdi-arrow-down' : 'mdi-arrow-up'",), size=14, v_if="each.id === rx_sort")
        with html.Tbody(), html.Tr(
            v_for="row in rx_rows", key=("row.key",), title=("row.about",), click=(desk.table.mark, "[row.key]"),
            classes=("[rx_marked.includes(row.key) ? 'it-marked' : '', row.flag ? 'it-flagged' : '']",),
        ):  # fmt: skip
            html.Td(
                "{{ cell }}", v_for="(cell, n) in row.cells", key=("n",),
                classes=(
                    "rx_columns[n] ? [`it-column-${rx_columns[n].id}`, rx_columns[n].numeric ? 'it-figures' : ''] : ''",
                ),
            )  # fmt: skip
        html.Caption("No feature passes the filters.", v_if="!rx_rows.length", classes="it-small")


def _picture(desk: RadiomicsDesk) -> None:
    with html.Div(classes="it-results-right"):
        with html.Div(classes="d-flex align-center"):
            with v.VBtnToggle(
                v_model=("rx_picture",), mandatory=True, density="compact", variant="outlined", divided=True,
                color="primary",
            ):  # fmt: skip
                for value, icon, words in PICTURES:
                    with v.VBtn(value=value, size="small", title=words, id=f"it-picture-{value}"):
                        v.VIcon(icon, size="large")
                        html.Span(words, classes="d-none d-xl-inline ml-2")
            v.VSpacer()
            v.VBtn(
                "{{ rx_marked.length }} chosen", v_if="rx_marked.length", size="x-small", variant="text",
                append_icon="mdi-close", title="Choose none", click=desk.table.unmark, id="it-rx-unmark",
            )  # fmt: skip
        with html.Div(classes="it-plot"):
            html.Img(v_if="rx_svg", src=("rx_svg",), id="it-rx-plot", raw_attrs=[':alt="rx_picture"'])
        html.Div("{{ rx_scale }}", v_if="rx_scale", classes="it-small", id="it-rx-scale")
        html.Div("Click rows to choose the features shown here.", classes="it-small",
                 v_if=f"rx_picture !== '{HISTOGRAM}' && !rx_marked.length")  # fmt: skip


def _icon(icon: str, hint: str, click: Any, name: str, disabled: str = "") -> None:
    off = {"disabled": (disabled,)} if disabled else {}
    v.VBtn(icon=icon, size="small", variant="text", title=hint, id=name, click=click,
           raw_attrs=[f'aria-label="{hint}"'], **off)  # fmt: skip


def _switch(state: str, words: str, name: str, hint: str = "") -> None:
    v.VSwitch(
        v_model=(state,), label=words, density="compact", hide_details=True, color="primary", base_color="#8b98ab",
        id=name, title=hint or words, classes="it-switch", inset=True,
    )  # fmt: skip


def _feature_items() -> list[dict[str, str]]:
    return [{"value": value, "title": title} for value, title in FEATURES]
