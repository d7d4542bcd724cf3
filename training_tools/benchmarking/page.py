"""The page of a benchmark: one HTML file that needs nothing else, with the table, plots, pictures and all settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from imagetranslation.radiomics.preservation.page import document
from imagetranslation.readerstudy.analysis.figures import Point, forest

from ..dataset import all_simulated, simulated_in_part
from ..evaluate import RETEST_NOISE
from ..evaluating.comparing import Summary, Table
from ..evaluating.measures import MEASURES
from ..evaluating.writing import cell
from .cells import PICTURED, Plan, about_encoder
from .costs import PROCESSOR
from .entries import STUDY, changed, entries
from .gathering import Gathered, Row
from .pictures import ROW_STYLE, pictured, row_html

# The measures of the chief table; all of them stand below it.
CHIEF = ("mae", "psnr", "ssim", "perceptual", "lesion_contrast_error", "lesion_ssim")
DRAWN = ("ssim", "mae")
STYLE = f"<style>{ROW_STYLE}body{{max-width:1500px}}figure{{margin:0}}td{{white-space:nowrap}}</style>"
TITLES = {"us2mri": "Prostate ultrasound to MR", "pool2delayed": "Blood-pool to delayed bone scan"}


def page(gathered: Gathered) -> str:
    """All of it."""
    plan = gathered.plan
    title = f"{TITLES[plan.task]}: networks compared"
    tables = {table.measure: table for table in gathered.tables}
    parts = [f"<h1>{escape(title)}</h1>", _banner(plan.preset.heading), *_about(gathered)]
    parts += ["<h2>Results</h2>", _chief(gathered, tables), _explained(gathered)]
    for name in DRAWN:
        if name in tables:
            parts += [f"<h2>{escape(MEASURES[name].label)}</h2>", _forest(gathered, tables[name])]
    parts += ["<h2>Pictures</h2>", *_pictures(gathered)]
    parts += ["<h2>Every measure</h2>", *(_measure(table) for table in gathered.tables)]
    parts += ["<h2>Settings</h2>", *_settings(plan)]
    return document(title, [STYLE, *parts])


def _banner(heading: str) -> str:
    return f"<p class='headline none'>{escape(heading[:1].upper() + heading[1:])}</p>"


def _about(gathered: Gathered) -> Iterable[str]:
    plan, preset = gathered.plan, gathered.plan.preset
    simulated, part = all_simulated(plan.data), simulated_in_part(plan.data)
    patients = len(set(gathered.patients.values()))
    kind = "<b>simulated patients: nothing here is comparable with results on patients</b>" if simulated else "patients"
    yield (
        f"<p>{patients} {kind}, tested in {preset.folds} of {preset.split_folds} folds drawn by patient (seed "
        f"{plan.seed}). {escape(_budget(gathered))} Data: {escape(str(plan.data.name))}. "
        "Synthetic images are made by models; nothing on this page is for diagnosis.</p>"
    )
    if part:
        yield f"<p class='headline none'>{escape(part)}</p>"
    for machine in gathered.machines:
        told = ", ".join(f"{key} {value}" for key, value in machine.items())
        yield f"<p class='note'>Machine: {escape(told)}; {plan.threads} threads a network.</p>"


def _budget(gathered: Gathered) -> str:
    """What each network was given, and how that was measured."""
    plan, seconds = gathered.plan, gathered.plan.preset.seconds
    before = "measured on the machine beforehand"
    worked = (
        f"{seconds:g} seconds x {plan.threads} threads = {seconds * plan.threads:g} processor seconds a fold: the "
        f"processor's work, computed on one thread, without what other programs took; {before}"
    )
    waited = f"{seconds:g} seconds on the clock a fold, {before} with whatever else ran there"
    if gathered.clocks == (PROCESSOR,):
        return f"Each network trained for as many steps as fit into {worked}."
    if PROCESSOR in gathered.clocks:
        return f"Each network trained for as many steps as fit into {worked}; some cells instead into {waited}."
    return f"Each network trained for as many steps as fit into {waited}."


def _chief(gathered: Gathered, tables: dict[str, Table]) -> str:
    shown = [name for name in CHIEF if name in tables]
    head = "".join(f"<th>{escape(MEASURES[name].label)} {_arrow(name)}</th>" for name in shown)
    head = (
        f"<tr><th class='w'>Network</th>{head}<th>Rank (SSIM)</th><th>Group</th><th>Fréchet ↓</th>"
        "<th>Grid</th><th>Parameters</th>"
        "<th>Steps</th><th>Training</th><th>One case</th><th>Memory</th></tr>"
    )
    by_method = {name: {s.method: s for s in tables[name].summaries} for name in shown}
    best = {name: _best(list(by_method[name].values())) for name in shown}
    body = []
    for row in gathered.rows:
        label = _label(row)
        if row.state != "done":
            empty = f"<td class='w note' colspan='{len(shown) + 9}'>{escape(row.state)}</td>"
            body.append(f"<tr><td class='w'>{label}</td>{empty}</tr>")
            continue
        cells = "".join(_value(by_method[name].get(row.name), best[name]) for name in shown)
        body.append(f"<tr><td class='w'>{label}</td>{cells}{_ranked(by_method, row.name)}{_cost_cells(row)}</tr>")
    for method in gathered.references:
        cells = "".join(_value(by_method[name].get(method), None) for name in shown)
        body.append(f"<tr class='note'><td class='w'>{escape(method)}</td>{cells}<td colspan='9'></td></tr>")
    return f"<div class='scroll' style='max-height:none'><table>{head}{''.join(body)}</table></div>"


def _label(row: Row) -> str:
    notes = [] if row.name in STUDY else ["beyond the study"]
    if row.chosen_on:
        notes.append(f"design chosen on these patients ({row.chosen_on} of those tested): not ranked")
    return escape(row.name) + "<br>".join(f" <span class='note'>({escape(note)})</span>" for note in notes)


def _best(summaries: Sequence[Summary]) -> str | None:
    return next((s.method for s in summaries if s.rank == 1), None)


def _value(summary: Summary | None, best: str | None) -> str:
    if summary is None:
        return "<td></td>"
    interval = summary.interval
    told = (
        f"95% interval {interval.low:.4g} to {interval.high:.4g}" if interval.low is not None else str(interval.refused)
    )
    text = escape(cell(summary))
    return f"<td title='{escape(told, quote=True)}'>{f'<b>{text}</b>' if summary.method == best else text}</td>"


def _ranked(by_method: dict[str, dict[str, Summary]], name: str) -> str:
    summary = by_method.get("ssim", {}).get(name)
    if summary is None or summary.rank is None:
        return "<td></td><td></td>"
    return f"<td>{summary.rank}</td><td>{escape(summary.group)}</td>"


def _cost_cells(row: Row) -> str:
    costs = row.costs
    memory = costs["peak_memory_bytes"]
    worked = costs.get("training_processor_seconds")
    work = "" if worked is None else f"{worked:.0f} processor seconds, all threads together"
    frechet = f"{row.frechet:.3g}" if isinstance(row.frechet, float) else ""
    why = escape(row.frechet, quote=True) if isinstance(row.frechet, str) else ""
    return (
        f"<td title='{why}'>{frechet}</td><td>{escape(row.grid)}</td>"
        f"<td>{costs['parameters']:,}</td><td>{costs['steps']:.0f}</td>"
        f"<td title='{work}'>{costs['training_seconds']:.0f} s</td><td>{costs['inference_seconds']:.2f} s</td>"
        f"<td>{'' if memory is None else f'{memory / 2**30:.1f} GiB'}</td>"
    )


def _explained(gathered: Gathered) -> str:
    notes = sorted({note for table in gathered.tables for note in table.notes})
    sentences = [
        "Mean ± SD over patients (95% bootstrap intervals on hovering and below); bold: the best mean of those ranked.",
        "Networks that share a letter in Group do not differ significantly in SSIM (Wilcoxon's signed-rank test "
        "between every two, Holm's correction, 5%).",
        *_not_ranked(gathered),
        "Floors: identity is the source itself in the target's normalisation; best line is one gain and offset fitted "
        "on the training cases; mean image is the training targets' mean. Ceilings: the real target, and the real "
        f"target with noise of {RETEST_NOISE:.0%} of its range added.",
        "Grid is what a network sees of a scan; all are scored on the scan's own grid. What is finer than its grid "
        "(small lesions, sharp edges) no network can make, so compare within a grid first.",
        "Training and One case (median) are times on the clock of the machine above, longer where other programs ran "
        "beside them (processor seconds on hovering and in leaderboard.csv); memory is the most that the process of a "
        "network held.",
        *_encoders(gathered.plan),
        *notes,
    ]
    return "<ul class='note'>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _encoders(plan: Plan) -> list[str]:
    """What measures how images look, what losses use in its place, and what each cost."""
    told = []
    for place in (plan.scoring_encoder, plan.encoder):
        records = [record for fold in range(plan.preset.folds) if (record := about_encoder(place(fold)))]
        if not records:
            return []
        worked = [record["processor_seconds"] for record in records if "processor_seconds" in record]
        cost = f", {median(worked):.0f} processor seconds a fold" if worked else ""
        widths = "-".join(map(str, records[0]["channels"]))
        told.append(f"{widths} channels, seed {records[0]['seed']}, {records[0]['steps']} steps{cost}")
    users = [name for name, path in entries(plan.task).items() if path and "encoder" in plan.config(name, 0).objective]
    of = f" of {', '.join(users)}" if users else "s"
    return [
        f"Perceptual distance and Fréchet: features of an encoder that no network was trained against ({told[0]}), "
        f"fitted on each fold's training targets alone. The perceptual loss{of} has another one ({told[1]}), fitted on "
        "the same targets. What the two encoders cost is in no network's budget."
    ]


def _not_ranked(gathered: Gathered) -> list[str]:
    if not (names := [row.name for row in gathered.rows if row.chosen_on]):
        return []
    return [
        f"{', '.join(names)}: not ranked and in no group, because size, settings and augmentation were chosen on "
        "patients that are tested here: its numbers are too good by an unknown amount."
    ]


def _forest(gathered: Gathered, table: Table) -> str:
    about = MEASURES[table.measure]
    finished = {row.name for row in gathered.rows if row.state == "done"}
    points = [
        Point(s.method, s.mean, s.interval.low, s.interval.high, 0 if s.method in finished else 7, s.rank == 1)
        for s in table.summaries
        if s.method not in gathered.references[-1:]
    ]
    axis = f"{about.label}{f' ({about.unit})' if about.unit else ''}, {about.better} is better"
    return forest(f"{about.label} of every network with its 95% interval", points, axis)


def _pictures(gathered: Gathered) -> Iterable[str]:
    plan = gathered.plan
    done = [row.name for row in gathered.rows if row.state == "done"]
    if not done:
        return
    yield "<p class='note'>Tested cases; the slice with most lesion where one is known. Networks make the images.</p>"
    for case, shown in pictured({name: plan.folder(name, 0) / "pictures" for name in done}, PICTURED):
        yield f"<h3>{escape(case)}</h3>{row_html(case, shown)}"


def _measure(table: Table) -> str:
    about = MEASURES[table.measure]
    unit = f" ({about.unit})" if about.unit else ""
    names = ("Mean", "SD", "95% interval", "n", "Rank", "Group")
    head = f"<tr><th class='w'>Method</th>{''.join(f'<th>{name}</th>' for name in names)}</tr>"
    rows = "".join(
        f"<tr><td class='w'>{escape(s.method)}</td><td>{s.mean:.5g}</td>"
        f"<td>{'' if s.sd is None else f'{s.sd:.3g}'}</td>"
        f"<td>{_interval(s)}</td><td>{s.n}</td><td>{s.rank or ''}</td><td>{escape(s.group)}</td></tr>"
        for s in table.summaries
    )
    tests = "".join(
        f"<tr><td class='w'>{escape(t.label)}</td><td>{t.effect.get('median_difference', float('nan')):.4g}</td>"
        f"<td>{'' if t.p is None else f'{t.p:.3g}'}</td><td>{'' if t.holm_p is None else f'{t.holm_p:.3g}'}</td>"
        f"<td class='w note'>{escape(t.refused or '')}</td></tr>"
        for t in table.tests
    )
    compared = (
        "<details><summary>Every two networks</summary><div class='scroll'><table><tr><th class='w'>First - second</th>"
        f"<th>Median difference</th><th>p</th><th>Holm's p</th><th class='w'>Refused</th></tr>{tests}</table></div>"
        "</details>"
    )
    return (
        f"<details><summary>{escape(about.label)}{escape(unit)}: {about.better} is better; {escape(about.parameters)}"
        f"</summary><table>{head}{rows}</table>{compared if tests else ''}</details>"
    )


def _interval(summary: Summary) -> str:
    interval = summary.interval
    if interval.low is None or interval.high is None:
        return escape(str(interval.refused))
    return f"{interval.low:.5g} to {interval.high:.5g}"


def _settings(plan: Plan) -> Iterable[str]:
    for name, path in entries(plan.task).items():
        if path is None:
            continue
        record: dict[str, Any] = plan.config(name, 0).model_dump(mode="json", exclude={"card", "uncertainty"})
        origins = record.pop("origins")
        if encoder := record["objective"].get("encoder"):
            record["objective"]["encoder"] = "/".join(Path(encoder).parts[-2:])  # where it lies below this page
        told = "".join(
            f"<tr><td class='w'>{escape(key)}</td><td class='w'>{escape(origin)}</td></tr>"
            for key, origin in origins.items()
        )
        whole = escape(json.dumps(record, indent=1))
        yield (
            f"<details><summary>{escape(name)}</summary>{_changes(path, plan)}<table><tr><th class='w'>Setting</th>"
            f"<th class='w'>From</th></tr>{told}</table><pre class='scroll'>{whole}</pre></details>"
        )


def _changes(path: Path, plan: Plan) -> str:
    """What the preset changed in a network's configuration."""
    rows = "".join(
        f"<tr><td class='w'>{escape(key)}</td><td>{escape(json.dumps(old))}</td><td>{escape(json.dumps(new))}</td></tr>"
        for key, old, new in changed(path, plan.preset)
    )
    if not rows:
        return f"<p class='note'>The preset {escape(plan.preset.name)} changes nothing.</p>"
    return (
        f"<table><tr><th class='w'>Changed by the preset {escape(plan.preset.name)}</th><th>From</th><th>To</th></tr>"
        f"{rows}</table>"
    )


def _arrow(measure: str) -> str:
    return "↑" if MEASURES[measure].better == "higher" else "↓"
