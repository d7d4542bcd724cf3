"""From unaligned pairs to training cases on one grid, with a report on how well they were aligned.

For each pair the target (MR) is registered to the source (ultrasound) and resampled to the source's grid; the source
is not touched, unless a common grid is asked for. Output folder: `source/`, `target/`, `valid/` and, with labels,
`source_label/`, `target_label/` and `lesion/` (one NRRD a case), `cases.json` (files, patients, facts, settings,
versions), `report.csv`, `report.json` and the sheet `report.png`. The same input gives the same bytes. A run that was
stopped goes on where it was (`records/`). Intensities are left as they are: `imagetranslation.intensity` normalises
later. Which files belong together is found by `pairs` and `importers`, alignment is `aligning`'s.

Run: python -m training_tools.prepare --source us --target mr --source-labels us_labels --target-labels mr_labels -o DIR
or   python -m training_tools.prepare --csv pairs.csv | --bids ROOT ... | --tcia ROOT | --nm FOLDER [FOLDER]  -o DIR
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from imagetranslation.errors import Cancelled, InputError, RunFailed
from imagetranslation.files import as_sentence, atomic_path, make_folder, write_text
from imagetranslation.volume import axis_codes

from . import registration
from .aligning import Prepared, Quality, Settings, prepare_pair
from .console import run
from .dataset import of_simulator
from .pairs import PairFiles, check_pairs, read_image
from .prepared import digest, hashes, is_done, read_record, software, write_case
from .sheet import write_sheet
from .singles import Single, prepare_single, refuse_copies

__all__ = ["Prepared", "Quality", "Settings", "main", "prepare", "prepare_pair"]

FIELDS = tuple(Quality.__dataclass_fields__)
Progress = Callable[[str, int, int], Any]
SHOWN = 10  # cases named in a sentence


def prepare(
    pairs: Sequence[PairFiles],
    output: Path,
    *,
    workers: int = 1,
    drop_suspect: bool = False,
    leave_out_unusable: bool = False,
    left_out: Mapping[str, str] | None = None,
    singles: Sequence[Single] = (),
    progress: Progress = lambda stage, done, total: None,
    **settings: Any,
) -> list[Quality]:
    """Register and write every pair that is not there yet; returns the report's rows.

    workers: processes. drop_suspect: cases whose registration is suspect are reported and not listed in `cases.json`.
    leave_out_unusable: likewise those that cannot be used at all. left_out: what an importer left out, for the report.
    singles: images without a partner, see `singles`.
    progress(stage, done, total). settings: fields of `aligning.Settings`. Raises InputError, one sentence for each
    unusable case, after all others are done; Cancelled on Ctrl-C. What was done stays and is not done again.
    """
    chosen = Settings(**settings)
    if pairs or not singles:
        check_pairs(pairs)
    make_folder(output)
    # Earlier pairs' list goes first: after a failure it would name files of two runs.
    with as_sentence(output / "cases.json"):
        (output / "cases.json").unlink(missing_ok=True)
    known, skipped = dict(left_out or {}), len(left_out or {})
    try:
        seen = _each(workers, _inspect, pairs, repeat(chosen), repeat(output), stage="Checking", progress=progress)
        usable = _usable(pairs, seen, known, leave_out_unusable)
        _refuse_copies(usable)
        _refuse_mixed_axes(usable, chosen)
        found = _each(
            workers, _prepare_one, [pair for pair, _ in usable], [about for _, about in usable], repeat(chosen),
            repeat(output), stage="Preparing", progress=progress,
        )  # fmt: skip
        alone = _each(
            workers, prepare_single, singles, repeat(chosen), repeat(output), stage="Unpaired", progress=progress
        ) if singles else []  # fmt: skip
    except KeyboardInterrupt as error:
        raise Cancelled(
            f"Cancelled; what is done is in {output}, and the same command goes on with the rest."
        ) from error
    made = _usable([pair for pair, _ in usable], found, known, leave_out_unusable)
    others = _usable(singles, alone, known, leave_out_unusable)
    if len(known) > skipped and not made and not others:
        raise InputError(f"No case is left: {next(reversed(known.values()))}")
    if others:
        refuse_copies([record["case"] for _, record in [*made, *others]])
        _refuse_mixed_axes([*made, *others], chosen)
    return _write_lists(made, others, known, chosen, output, drop_suspect)


def _inspect(pair: PairFiles, settings: Settings, output: Path) -> dict[str, Any]:
    """Hashes of a case's input and the axes of its source; from its record, where it is done."""
    inputs = hashes(pair)
    made_from = digest(pair, settings, inputs)
    record = read_record(output, pair.case)
    done = is_done(output, record, made_from)
    axes = record["axes"] if done and record else axis_codes(read_image(pair.source, pair.source_view))
    return {"inputs": inputs, "made_from": made_from, "axes": axes, "record": record if done else None}


def _prepare_one(pair: PairFiles, about: dict[str, Any], settings: Settings, output: Path) -> dict[str, Any]:
    if about["record"] is not None:
        return dict(about["record"])
    case = prepare_pair(pair, settings)
    return write_case(case, pair, output, about["inputs"], about["made_from"], about["axes"])


def _each(workers: int, work: Callable[..., Any], *inputs: Any, stage: str, progress: Progress) -> list[Any]:
    """What `work` returns for each input, in order, or the InputError it raised; other errors end the run."""
    total = len(inputs[0])
    progress(stage, 0, total)
    found = []
    for result in _outcomes(workers, work, inputs):
        found.append(result)
        progress(stage, len(found), total)
    return found


def _outcomes(workers: int, work: Callable[..., Any], inputs: tuple[Any, ...]) -> Iterator[Any]:
    if workers <= 1 or len(inputs[0]) <= 1:
        yield from map(_attempt, repeat(work), *inputs)
        return
    # Not forked: the parent may hold threads of numerical libraries.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(inputs[0])), mp_context=context, initializer=_begin) as pool:
        try:
            yield from pool.map(_attempt, repeat(work), *inputs)
        except BrokenProcessPool as error:
            raise RunFailed(
                "A process ended before its case was done, most likely for want of memory; what is done stays. Run "
                "the same command again with fewer --workers."
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """In a worker: Ctrl-C is the parent's to answer, and one case uses one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _attempt(work: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return work(*arguments)
    except InputError as error:
        return error


def _usable(
    pairs: Sequence[Any], found: Sequence[Any], left_out: dict[str, str], leave_out: bool
) -> list[tuple[Any, Any]]:
    """Pairs with what was found of them; InputError naming those of which nothing was, unless they are left out."""
    failed = {
        pair.case: _naming(pair.case, result) for pair, result in zip(pairs, found) if isinstance(result, InputError)
    }
    if failed and not leave_out:
        sentences = list(failed.values())
        more = [f"... and {len(failed) - SHOWN} more cases."] if len(failed) > SHOWN else []
        raise InputError("\n".join([*sentences[:SHOWN], *more]))
    left_out.update(failed)
    return [(pair, result) for pair, result in zip(pairs, found) if pair.case not in failed]


def _naming(case: str, error: InputError) -> str:
    return str(error) if case in str(error) else f"{case}: {error}"


def _refuse_copies(found: Sequence[tuple[PairFiles, dict[str, Any]]]) -> None:
    """InputError where two patients have the same file, or one patient the same pair twice."""
    first: dict[tuple[str, ...], PairFiles] = {}
    for pair, about in found:
        inputs, views = about["inputs"], (str(pair.source_view), str(pair.target_view))
        patient = pair.patient or pair.case
        for part, view in zip(("source", "target"), views):
            earlier = first.setdefault((part, inputs[part], view), pair)
            if (earlier.patient or earlier.case) != patient:
                raise InputError(
                    f"{earlier.case} and {pair.case} have the same {part} file and count as two patients: remove one, "
                    "or name the patient of both (in a table given with --csv)."
                )
        earlier = first.setdefault((inputs["source"], inputs["target"], *views), pair)
        if earlier is not pair:
            raise InputError(f"{earlier.case} and {pair.case} are the same pair of images; remove one.")


def _refuse_mixed_axes(found: Sequence[tuple[Any, dict[str, Any]]], settings: Settings) -> None:
    by_axes: dict[str, list[str]] = defaultdict(list)
    for pair, about in found:
        by_axes[about["axes"]].append(pair.case)
    if len(by_axes) > 1 and not settings.orientation:
        common = max(by_axes, key=lambda axes: len(by_axes[axes]))
        named = "; ".join(f"{axes}: {len(cases)} ({', '.join(cases[:3])})" for axes, cases in sorted(by_axes.items()))
        raise InputError(
            f"The images lie in {len(by_axes)} orientations ({named}). Give --orientation {common} to turn all alike."
        )


def _write_lists(
    made: Sequence[tuple[PairFiles, dict[str, Any]]],
    others: Sequence[tuple[Single, dict[str, Any]]],
    left_out: dict[str, str],
    chosen: Settings,
    output: Path,
    drop_suspect: bool,
) -> list[Quality]:
    rows, listed = [], []
    for pair, record in made:
        row = Quality(**{**record["quality"], "case": pair.case})
        rows.append(row)
        known = {
            "patient": pair.patient, "facts": dict(pair.facts), "registration": row.method, "suspect": row.suspect,
        }  # fmt: skip
        if of_simulator((pair.source, pair.target)):
            known["simulated"] = True
        if not (drop_suspect and row.suspect):
            listed.append({**record["case"], **{key: value for key, value in known.items() if value}})
    settings = {**chosen.record(), "software": software()}
    places = [*((pair.source, pair.target) for pair, _ in made), *((single.path,) for single, _ in others)]
    if count := sum(of_simulator(files) for files in places):
        settings["simulated"] = f"{count} of {len(places)} cases come from a simulator: no patient."
    if others:
        settings["unpaired"] = dict(Counter(single.side for single, _ in others))
    listed += [
        {**record["case"], **({"simulated": True} if of_simulator((single.path,)) else {})} for single, record in others
    ]
    _write_report(rows, settings, left_out, output)
    if rows:
        write_sheet(output, rows)
    if not listed:
        raise InputError(f"Every registration is suspect, so no case is left; see {output / 'report.csv'}.")
    _write_json(output / "cases.json", {"settings": settings, "cases": listed})
    return rows


def _write_report(rows: list[Quality], settings: dict[str, Any], left_out: dict[str, str], output: Path) -> None:
    with atomic_path(output / "report.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    content = {"settings": settings, "cases": [asdict(row) for row in rows], "left_out": left_out, **summary(rows)}
    _write_json(output / "report.json", content)


def summary(rows: Sequence[Quality]) -> dict[str, Any]:
    """How many cases have labels and how many are suspect, with the mean Dice before and after."""
    labelled = [row for row in rows if row.dice_after is not None]
    mean = {
        key: round(sum(getattr(row, key) for row in labelled) / len(labelled), 4) if labelled else None
        for key in ("dice_before", "dice_after")
    }
    return {
        "labelled": len(labelled),
        "mean_dice_before": mean["dice_before"],
        "mean_dice_after": mean["dice_after"],
        "suspect": [row.case for row in rows if row.suspect],
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    from .commands import progress as bar
    from .importers.options import listing, parser

    options = parser(__doc__.split("\n")[0]).parse_args(arguments)
    found = listing(options)
    by = "images" if options.nm and options.by == "auto" else options.by
    settings = Settings(
        method=options.method or ("shift" if by == "images" else "scale"),
        by=by,
        source_modality=options.source_modality or found.modalities[0],
        target_modality=options.target_modality or found.modalities[1],
        spacing=tuple(options.spacing) if options.spacing else None,
        size=tuple(options.size) if options.size else None,
        orientation=(options.orientation or "").upper(),
    )
    bare = [pair.case for pair in found.pairs if not (pair.source_label and pair.target_label)]
    if bare and options.method == Settings.method and settings.by == "auto":
        raise InputError(
            f"--method {options.method} needs labels, which {len(bare)} cases lack, among them {bare[0]}: leave it out "
            f"for a shift by their images, or choose one that images have: {', '.join(registration.IMAGE_METHODS)}."
        )
    pairs = [replace(pair, lesions_on=options.lesions_on or pair.lesions_on) for pair in found.pairs]
    with ExitStack() as stack:
        bars: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                stack.close()  # one bar after the other
                bars[stage] = stack.enter_context(bar(stage))
            bars[stage](done, total)

        rows = prepare(
            pairs, options.output, workers=options.workers, drop_suspect=options.drop_suspect,
            leave_out_unusable=options.leave_out_unusable, left_out=found.left_out, singles=found.singles,
            progress=update,
            **asdict(settings),
        )  # fmt: skip
    _remark(rows, settings, options)
    print(
        json.dumps(
            {"cases": len(rows) + len(found.singles), **summary(rows), "report": str(options.output / "report.json")}
        )
    )
    return 0


def _remark(rows: Sequence[Quality], settings: Settings, options: Any) -> None:
    """On stderr: what a person should look at before training on the cases."""
    by_images = [row.case for row in rows if row.method.startswith("mutual information")]
    if by_images and {settings.source_modality, settings.target_modality} == {"US", "MR"}:
        print(f"warning: {registration.WORSE_THAN_LABELS}", file=sys.stderr)
    for row in rows:
        if row.suspect:
            what = "left out" if options.drop_suspect else "kept; leave it out with --drop-suspect"
            print(f"suspect: {row.case}: {row.suspect} ({what}).", file=sys.stderr)
    report = json.loads((options.output / "report.json").read_text(encoding="utf-8"))
    for name, reason in report["left_out"].items():
        print(f"left out: {name}: {reason}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(run(main))
