"""`imagetranslation radiomics preservation` and `radiomics compare`: what a translation did to features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import InputError
from .console import Console
from .options import Json, cancel_on_interrupt
from .radiomics import EngineName, Features, MirpPython, Scheduler, SettingsFile, Tissue, Workers, read_chosen_settings
from .tables import Page, print_json

if TYPE_CHECKING:
    from ..radiomics.preservation.cohort import Report

Folder = Annotated[Path, typer.Option("--output", "-o", help="New folder for the report.")]


def preservation(
    output: Folder,
    pairs: Annotated[
        Optional[Path], typer.Argument(help="CSV: patient, roi, a_image, b_image, mask, relation (label, tissue).")
    ] = None,
    table: Annotated[
        Optional[Path],
        typer.Option("--table", help="CSV of features instead: patient, roi, relation, side, feature, value."),
    ] = None,
    engine: EngineName = "",
    features: Features = "",
    settings: SettingsFile = None,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap and the perturbation.")] = 1,
    rho: Annotated[float, typer.Option(help="Preserved in rank: Spearman's rho from here on.")] = 0.8,
    q: Annotated[float, typer.Option(help="Preserved in rank: q below this.")] = 0.05,
    icc: Annotated[float, typer.Option(help="Preserved in agreement: lower end of ICC(A,1) from here on.")] = 0.75,
    perturbation: Annotated[
        bool, typer.Option("--perturbation/--no-perturbation", help="Make the ceiling by perturbing the real targets.")
    ] = True,
    noise: Annotated[float, typer.Option(min=0, max=10, help="Noise added there, in SDs of the image's own.")] = 1.0,
    shift: Annotated[float, typer.Option(min=0, max=2, help="Largest shift there, in voxels.")] = 0.5,
    resample: Annotated[bool, typer.Option("--resample", help="Put images on the grid of their mask.")] = False,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    cache: Annotated[Optional[Path], typer.Option(help="Folder that keeps results by content.")] = None,
    mirp_python: MirpPython = "",
    as_json: Json = False,
) -> None:
    """Which features survive a translation, over a cohort: rank and agreement, with floor and ceiling.

    A cohort:   imagetranslation radiomics preservation pairs.csv -o report

    Relations are synthetic-target, source-synthetic, source-reference and test-retest; the word before the hyphen is
    a_image. A report's features.csv can be analysed again with --table.
    """
    from ..radiomics.preservation.cohort import analyse
    from ..radiomics.preservation.definitions import Thresholds
    from ..radiomics.preservation.figures import require
    from ..radiomics.preservation.longtable import read_long_table
    from ..radiomics.preservation.writing import check_folder, write_report

    if (pairs is None) == (table is None):
        raise InputError("Give either a table of pairs or, with --table, one of features.")
    stop, console = cancel_on_interrupt(), Console(as_json)
    thresholds = Thresholds(rho=rho, q=q, icc=icc, draws=draws, seed=seed,
                            rho_degraded=min(0.5, rho), icc_degraded=min(0.5, icc))  # fmt: skip
    require()
    check_folder(output)
    notes: tuple[str, ...] = ()
    if table is not None:
        values, facts = read_long_table(table), {"table": str(table)}
    else:
        assert pairs is not None
        with console.progress("Extracting") as bar:
            values, facts, notes = _extract(
                pairs, engine, features, settings, seed if perturbation else None, (noise, shift), resample,
                mirp_python,
                workers=workers, scheduler=scheduler, cache=cache, progress=bar.update, cancelled=stop.is_set,
            )  # fmt: skip
    report = analyse(values, thresholds, facts, notes)
    write_report(report, values, output)
    _show(report, output, as_json)


def _extract(
    path: Path, engine: str, features: str, settings: Path | None, seed: int | None, strength: tuple[float, float],
    resample: bool, mirp_python: str, **work: Any,
) -> tuple[Any, dict[str, Any], tuple[str, ...]]:  # fmt: skip
    from ..radiomics.engine import default_features, make_engine
    from ..radiomics.preservation.extracting import extract_pairs
    from ..radiomics.preservation.pairs import read_pairs
    from ..radiomics.preservation.perturbation import Perturbation

    chosen = read_chosen_settings(settings)
    rows = read_pairs(path)
    made_by = make_engine(features or default_features(engine), engine, mirp_python=mirp_python)
    change = None if seed is None else Perturbation(*strength, seed)
    found = extract_pairs(rows, chosen, made_by, perturbation=change, resample=resample, **work)
    facts = {
        "pairs": str(path), "engine": found.engine, "missing": list(found.missing),
        "settings": {**chosen.to_dict(), "sha256": chosen.sha256}, "resampled_to_mask": resample,
        "perturbation": None if change is None else change.to_dict(),
        "perturbation_words": "" if change is None else change.sentence(),
    }  # fmt: skip
    how = "Images were put on the grid of their mask, each once, by the settings' interpolator." if resample else ""
    return found.table, facts, (*((how,) if how else ()), *found.warnings)


def _show(report: Report, folder: Path, as_json: bool) -> None:
    from ..radiomics.preservation.cohort import by_family
    from ..radiomics.preservation.writing import as_dict

    if as_json:
        print_json({"folder": str(folder), **as_dict(report)})
        return
    shown = Page("Radiomics: what survives the translation")
    shown.lines([*report.thresholds.sentences(), *report.notes])
    for table in report.tables:
        shown.lines([f"{table.relation.title}: {table.headline}", *table.notes])
        if not table.counted(report.thresholds):
            continue
        rows = [[family, str(count), str(rank), "refused" if agreed is None else str(agreed)]
                for family, count, rank, agreed in by_family(report, table)]  # fmt: skip
        shown.table(["Family", "features", "preserved in rank", "in agreement"], rows)
    if report.excluded:
        shown.lines([f"{len(report.excluded)} regions or values were left out; {folder / 'excluded.csv'} lists them."])
    shown.lines([f"Wrote {folder / 'report.html'}, and tables beside it."])


def compare(
    source: Annotated[str, typer.Argument(help="The scan that was translated.")],
    synthetic: Annotated[str, typer.Argument(help="The synthetic image, on the source's grid.")],
    roi: Annotated[Path, typer.Option("--roi", help="The region: labelmap, .seg.nrrd or DICOM SEG.")],
    output: Folder,
    reference: Annotated[Optional[str], typer.Argument(help="The real target on that grid, if there is one.")] = None,
    label: Annotated[Optional[str], typer.Option(help="Which region: number or segment name.")] = None,
    tissue: Tissue = None,
    cohort: Annotated[
        Optional[Path],
        typer.Option("--cohort", help="features.csv of a preservation report, for the SD of its cohort."),
    ] = None,
    engine: EngineName = "",
    features: Features = "",
    settings: SettingsFile = None,
    component: Annotated[Optional[str], typer.Option(help="Which component of a 4-D source, or view of an NM.")] = None,
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Also write a DICOM structured report (TID 1500) and segmentation.")
    ] = False,
    finding: Annotated[
        str, typer.Option(help="What the region is in them: lesion, neoplasm, prostate, bone or tissue.")
    ] = "lesion",
    reader: Annotated[str, typer.Option(help="Who drew the region, for them.", metavar='"FAMILY, GIVEN"')] = "",
    drawn_with: Annotated[str, typer.Option(help="The tool that helped to draw it; by hand if none.")] = "",
    cache: Annotated[Optional[Path], typer.Option(help="Folder that keeps results by content.")] = None,
    mirp_python: MirpPython = "",
    as_json: Json = False,
) -> None:
    """Compare one region in the source, the synthetic image and, where there is one, the real target.

    imagetranslation radiomics compare us.nrrd synthetic-mr.nrrd mr.nrrd --roi gland.nrrd -o compared

    With --dicom the folder also holds dicom/report.dcm, dicom/segmentation.dcm and, where the synthetic image has none
    yet, its series; the source or the synthetic image must be DICOM or able to become it.
    """
    from ..radiomics import comparison
    from ..radiomics.cache import Cache
    from ..radiomics.dicomreport import Meaning, availability, finding_called, write_dicom
    from ..radiomics.engine import default_features, make_engine
    from ..radiomics.preservation.figures import require
    from ..radiomics.preservation.writing import check_folder
    from ..radiomics.segmentations import ALL, read_rois
    from ..volume import read_volume

    stop, chosen = cancel_on_interrupt(), read_chosen_settings(settings)
    if label == ALL:
        raise InputError("One region is compared at a time; name it with --label.")
    require()
    check_folder(output)
    paths = {"source": source, "synthetic": synthetic, **({"reference": reference} if reference else {})}
    images = {role: read_volume(path, component=component if role == "source" else None)
              for role, path in paths.items()}  # fmt: skip
    how = "SEMIAUTOMATIC" if drawn_with.strip() else "MANUAL"
    meaning = Meaning(*finding_called(finding), how, drawn_with, reader=reader)
    if dicom and not (possible := availability(images)).report:
        raise InputError(f"--dicom is not possible here. {possible.sentence}")
    (region,) = read_rois(roi, images["source"], label)
    made_by = make_engine(features or default_features(engine), engine, mirp_python=mirp_python)
    found = comparison.compare(
        images, region, chosen, made_by, tissue=read_volume(tissue) if tissue else None,
        cohort=comparison.read_cohort(cohort) if cohort else None, cache=Cache(cache) if cache else None,
        cancelled=stop.is_set,
    )  # fmt: skip
    comparison.write_comparison(found, output)
    written = None
    if dicom:
        written = write_dicom(found, images, region, output / "dicom", meaning=meaning, cancelled=stop.is_set)
    if as_json:
        listed = {} if written is None else {"dicom": [str(file) for file in written.files]}
        print_json({"folder": str(output), **listed, **comparison.as_dict(found)})
        return
    _show_comparison(found, output)
    if written is not None:
        shown = [f"Wrote {file}." for file in (written.report, written.segmentation) if file is not None]
        shown += [f"Wrote the synthetic series {written.series[0].parent}."] if written.series else []
        print("\n".join([*shown, *written.sentences]))


def _show_comparison(found: Any, folder: Path) -> None:
    roles = list(found.results)
    shown = Page(f"Radiomics of {found.roi['name']} (SYNTHETIC image included, not for diagnosis)")
    shown.lines(found.notes)
    rows = []
    for row in found.rows:
        name = row.name + (f" ({row.aggregation})" if row.aggregation else "")
        percent = f"{row.percent:.0f}" if row.percent == row.percent else ""
        values = [f"{row.values[role]:.5g}" for role in roles]
        rows.append([name, row.family, *values, f"{row.difference:.4g}", percent, row.flag])
    shown.table(["Feature", "family", *roles, f"synthetic - {found.against}", "% of cohort SD", "flag"], rows)
    shown.lines([f"Wrote {folder / 'comparison.html'}, .csv and .json."])
