"""`imagetranslation radiomics`: features of drawn regions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import InputError
from .console import BatchFailed, Console
from .options import Json, cancel_on_interrupt

if TYPE_CHECKING:
    from ..radiomics.engine import RoiResult
    from ..radiomics.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Quantitative features (radiomics) of drawn regions.")

EngineName = Annotated[str, typer.Option("--engine", help="pyradiomics or mirp; by default the one of the features.")]
Features = Annotated[
    str,
    typer.Option(
        "--features", help="pyradiomics (107 features), paper186 (MIRP's 185 and a named gap) or ibsi (all of MIRP's)."
    ),
]
SettingsFile = Annotated[
    Optional[Path],
    typer.Option("--settings", help="YAML or JSON: a PyRadiomics parameter file, or settings of ours (see above)."),
]
Tissue = Annotated[
    Optional[Path], typer.Option("--tissue", help="Labelmap over which intensities are normalised; never the region.")
]
MirpPython = Annotated[str, typer.Option(help="Python of a separate environment that has MIRP.", metavar="PATH")]
Workers = Annotated[int, typer.Option(min=1, max=256, help="Processes that share the work.")]

Scheduler = Annotated[str, typer.Option(help="Address of a Dask scheduler to work on instead.", metavar="ADDRESS")]


@app.callback()
def _radiomics() -> None:
    """Quantitative features (radiomics) of drawn regions."""


@app.command()
def extract(
    image: Annotated[str, typer.Argument(help="The scan: a file, or a DICOM file or folder.")],
    mask: Annotated[Path, typer.Argument(help="The region: labelmap, .seg.nrrd or DICOM SEG on the scan's grid.")],
    engine: EngineName = "",
    features: Features = "",
    settings: SettingsFile = None,
    label: Annotated[Optional[str], typer.Option(help="Which region: number, segment name, or all.")] = None,
    output: Annotated[
        Optional[Path], typer.Option("--output", "-o", help="Table to write: .csv, and a .json beside it.")
    ] = None,
    tissue: Tissue = None,
    mask_component: Annotated[Optional[int], typer.Option(min=0, help="Which volume of a 4-D mask, from 0.")] = None,
    series: Annotated[Optional[str], typer.Option(help="Which DICOM series of a folder: UID or number.")] = None,
    component: Annotated[Optional[str], typer.Option(help="Which component of a 4-D scan, or view of an NM.")] = None,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    cache: Annotated[Optional[Path], typer.Option(help="Folder that keeps results by content.")] = None,
    mirp_python: MirpPython = "",
    as_json: Json = False,
) -> None:
    """Extract features: name, family and value, in the terms of the IBSI reference manual.

    One region:   imagetranslation radiomics extract t2.nrrd gland.nrrd

    Every segment, with a table:   imagetranslation radiomics extract t2.nrrd t2.seg.nrrd --label all -o t2.csv

    Settings of ours are bin_number (32) or bin_width, spacing, interpolator (bspline), normalisation (none, z-score),
    bias_field_correction, minimum_voxels (64) and minimum_grey_levels (8).
    """
    from ..radiomics import extraction
    from ..radiomics.cache import Cache
    from ..radiomics.engine import default_features, make_engine
    from ..radiomics.segmentations import read_rois
    from ..volume import read_volume

    stop, console = cancel_on_interrupt(), Console(as_json)
    chosen = read_chosen_settings(settings)
    if output is not None:
        extraction.check_table(output, settings, image, mask, tissue)
    scan = read_volume(image, series=series, component=component)
    given = chosen.general() if chosen.parameters is not None else {}
    rois = read_rois(
        mask, scan, label if label is not None else _label_in(chosen), default=given.get("label"),
        component=mask_component if mask_component is not None else given.get("label_channel"),
        resample=bool(given.get("correctMask", False)),
    )  # fmt: skip
    where = read_volume(tissue) if tissue is not None else None
    made_by = make_engine(features or default_features(engine), engine, mirp_python=mirp_python)
    with console.progress() as bar:
        results = extraction.extract(
            scan, rois, chosen, made_by, tissue=where, workers=workers, scheduler=scheduler,
            cache=Cache(cache) if cache else None, progress=bar.update, cancelled=stop.is_set,
        )  # fmt: skip
    if len(results) == 1 and results[0].refused:
        raise InputError(results[0].refused)
    if output is not None:
        extraction.write_results([result for result in results if not result.refused], scan, output)
    _show(results, extraction.report(results, scan), output, as_json)


def read_chosen_settings(path: Path | None) -> Settings:
    """The settings of a file, or the defaults."""
    from ..radiomics.settings import Settings, read_settings

    return Settings() if path is None else read_settings(path)


def _label_in(settings: Settings) -> int | None:
    """The label that a PyRadiomics parameter file names, if it names one."""
    return ((settings.parameters or {}).get("setting") or {}).get("label")


def _show(results: list[RoiResult], report: dict[str, Any], output: Path | None, as_json: bool) -> None:
    refused = [result for result in results if result.refused]
    if as_json:
        print(json.dumps(report))
    for result in () if as_json else results:
        _print_table(result)
    if output is not None and not as_json:
        print(f"Wrote {output} and {output.with_suffix('.json')}")
    if refused:
        raise BatchFailed(f"{len(refused)} of {len(results)} regions could not be used; the list above says why.")


def _print_table(result: RoiResult) -> None:
    print(f"{result.roi['name']}: {result.roi['voxels']} voxels, {result.roi['volume_mm3']:.6g} mm^3")
    if result.refused:
        print(f"  REFUSED: {result.refused}")
        return
    names = [_shown(feature) for feature in result.features]
    wide = max(len(name) for name in names)
    broad = max(len(feature.family) for feature in result.features)
    for name, feature in zip(names, result.features):
        print(f"  {name:<{wide}}  {feature.family:<{broad}}  {feature.value:>14.6g} {feature.unit}".rstrip())
    for sentence in (*result.roi["notes"], *result.missing, *result.warnings):
        print(f"  Note: {sentence}")
    print(f"  {len(result.features)} features by {result.engine} {result.engine_version} in {result.isolation}.")


def _shown(feature: Any) -> str:
    kind = "" if feature.image_type == "original" else f" [{feature.image_type}]"
    return feature.name + (f" ({feature.aggregation})" if feature.aggregation else "") + kind
