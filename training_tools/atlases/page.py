"""The page of an atlas: one HTML file that needs nothing else. Worst cases one at a time, by keys or a list to sort."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from imagetranslation.radiomics.preservation.page import document, table_html

from ..benchmarking.page import CHIEF, TITLES
from ..dataset import simulated_in_part
from ..evaluating.measures import MEASURES
from ..lesionreading.task import CLEAR, FOUND, INVENTED, MISSED
from . import figures
from .images import LEAST_SIGNAL
from .making import Atlas, Entry
from .pictures import ERROR_LIMIT, Tile, legend

STYLE = """<style>
.tiles{display:flex;flex-wrap:wrap;gap:8px;align-items:flex-end}.tiles figure{margin:0}figcaption{font-size:12px}
.case{border:1px solid #d9d9d9;padding:.6em .9em;margin:.5em 0}.case h3{margin:.1em 0 .4em}
.scripted .case{display:none}.scripted .case.current{display:block}
.turn{display:none;align-items:center;gap:.7em;margin:.5em 0}.scripted .turn{display:flex}
.turn button{font-size:1.1em;padding:.1em .7em}.plots{display:flex;flex-wrap:wrap;gap:14px}.plots svg{max-width:370px}
body{max-width:1180px}
tr.shown td{cursor:pointer}tr.here td{background:#f2f7fb}.bar{height:9px;width:210px;border:1px solid #8a8a8a}
.failures{display:flex;flex-wrap:wrap;gap:14px}.failure{border:1px solid #d9d9d9;padding:.5em;max-width:560px}
</style>"""
# Left and right keys and the buttons turn the cases; the list sorts them and the table; a row shows its case.
SCRIPT = """<script>
(function(){
const root=document.getElementById('cases'),pick=document.getElementById('by'),place=document.getElementById('place');
const body=document.getElementById('patients').tBodies[0];let cards=[...root.querySelectorAll('.case')],now=0;
document.body.classList.add('scripted');
const number=(one,name)=>{const v=one.dataset[name];return v===undefined||v===''?-Infinity:parseFloat(v);};
function show(to,scroll){if(!cards.length)return;now=(to+cards.length)%cards.length;
cards.forEach((one,n)=>one.classList.toggle('current',n===now));
for(const row of body.rows)row.classList.toggle('here',row.dataset.patient===cards[now].dataset.patient);
place.textContent=(now+1)+' of '+cards.length;if(scroll)root.scrollIntoView({block:'start'});}
function sort(){const name=pick.value,worst=(a,b)=>number(b,name)-number(a,name);
cards.sort(worst).forEach(one=>root.append(one));[...body.rows].sort(worst).forEach(row=>body.append(row));show(0);}
document.getElementById('next').onclick=()=>show(now+1);document.getElementById('back').onclick=()=>show(now-1);
document.addEventListener('keydown',event=>{if(['INPUT','SELECT','TEXTAREA'].includes(event.target.tagName))return;
if(event.key==='ArrowRight'){show(now+1);event.preventDefault();}
if(event.key==='ArrowLeft'){show(now-1);event.preventDefault();}});
pick.onchange=()=>{sort();pick.blur();};
for(const row of body.rows)row.onclick=()=>{const to=cards.findIndex(one=>one.dataset.patient===row.dataset.patient);
if(to>=0)show(to,true);};
sort();
})();
</script>"""


def page(atlas: Atlas, rows: Sequence[Mapping[str, Any]]) -> str:
    """All of it. rows: of atlas.csv."""
    evaluated = atlas.evaluated
    title = f"{TITLES[evaluated.task]}: where {evaluated.method} fails"
    parts = [STYLE, f"<h1>{escape(title)}</h1>", *_about(atlas)]
    parts += ["<h2>In short</h2>", _list(_short(atlas))]
    parts += ["<h2>Worst patients</h2>", *_worst(atlas)]
    parts += ["<h2>Lesions that vanish, lesions that are invented</h2>", *_lesions(atlas)]
    parts += ["<h2>Uncertainty against error</h2>", *_uncertainty(atlas)]
    parts += ["<h2>Unlike the training scans, and error</h2>", *_likeness(atlas)]
    parts += ["<h2>All tested cases</h2>", _all_cases(atlas, rows), *_missing(atlas), *_settings(atlas)]
    return document(title, [*parts, SCRIPT])


def _about(atlas: Atlas) -> Iterable[str]:
    evaluated, patients = atlas.evaluated, len(atlas.ranking.order)
    if evaluated.simulated:
        yield "<p class='headline none'>Simulated patients: nothing here is comparable with results on patients.</p>"
    elif part := simulated_in_part(evaluated.data):
        yield f"<p class='headline none'>{escape(part)}</p>"
    folds = len(evaluated.parts)
    models = "one model" if folds == 1 else f"{folds} models, each on the patients that it had not seen"
    yield (
        f"<p>{patients} tested patients ({len(atlas.entries)} cases), {models}. Data: {escape(evaluated.data.name)}. "
        "Synthetic images are made by models; nothing on this page is for diagnosis. This page looks for failures: it "
        "shows the worst, not the usual.</p>"
    )


def _short(atlas: Atlas) -> list[str]:
    ranking, by = atlas.ranking, MEASURES[atlas.ranking.by]
    values = sorted(ranking.values[by.name].values())
    middle = values[len(values) // 2] if len(values) % 2 else sum(values[len(values) // 2 - 1 :][:2]) / 2
    worst = ranking.order[0]
    found = [f"Worst in {by.label}: {worst} with {_figure(ranking.values[by.name][worst])}; the median patient has "
             f"{_figure(middle)}{f' {by.unit}' if by.unit else ''}."]  # fmt: skip
    if atlas.reading is not None:
        found += atlas.reading.sentences()[:2]
    if atlas.within is not None:
        found.append(atlas.within.sentences[0])
    return [*found, atlas.doubt.sentence, atlas.likeness.sentence]


def _worst(atlas: Atlas) -> Iterable[str]:
    shown = {entry.patient: entry for entry in atlas.entries if entry.tiles}
    ranking, by = atlas.ranking, MEASURES[atlas.ranking.by]
    options = "".join(
        f"<option value='{_key(name)}'{' selected' * (name == ranking.by)}>{escape(MEASURES[name].label)}</option>"
        for name in ranking.measures
    )
    yield (
        f"<p class='note'>The {len(shown)} worst of {len(ranking.order)} patients in {escape(by.label)}, "
        "each by the worst of its cases, in the slice where the error is largest. Left and right keys turn the pages. "
        "“Worse than 90%” means that nine of ten other patients did better in that measure.</p>"
        "<div class='turn'><button id='back' title='left key'>◀</button><span id='place'></span>"
        "<button id='next' title='right key'>▶</button>"
        f"<label>worst first in <select id='by'>{options}</select></label></div>"
    )
    cards = [_card(atlas, shown[patient]) for patient in ranking.order if patient in shown]
    yield "<div id='cases'>" + "".join(cards) + "</div>"
    yield (
        f"<p class='note'><span class='bar' style='display:inline-block;background:{legend()}'></span> absolute error, "
        f"black 0 to pale {ERROR_LIMIT:.0%} of the image's range and beyond, alike in all pictures; uncertainty in the "
        "same colours up to the number under each picture.</p>"
    )
    yield _patients(atlas, shown)


def _card(atlas: Atlas, entry: Entry) -> str:
    ranking = atlas.ranking
    told = [] if entry.place is None else [f"slice {entry.place}"]
    if len(ranking.cases[entry.patient]) > 1:
        told.append(f"worst of {len(ranking.cases[entry.patient])} cases")
    if entry.doubt is not None:
        told.append(f"mean uncertainty {_figure(entry.doubt)}")
    if entry.likeness is not None:
        told.append(f"{entry.likeness['verdict']} ({entry.likeness['ratio']:.2f} of the furthest of them)")
    name = entry.patient if entry.case == entry.patient else f"{entry.patient}: {entry.case}"
    cells = []
    for measure in ranking.measures:
        value = ranking.values[measure].get(entry.patient)
        if value is None:
            continue
        worse = ranking.worse_than(entry.patient, measure)
        place = "" if worse is None else f"worse than {worse:.0f}%"
        cells.append((MEASURES[measure].label, _figure(value), MEASURES[measure].unit, place))
    numbers = table_html(("Measure", "value", "unit", "place"), cells)
    return (
        f"<section class='case' data-patient='{escape(entry.patient, quote=True)}' {_data(atlas, entry.patient)}>"
        f"<h3>{escape(name)} <span class='note'>{escape('; '.join(told))}</span></h3>{_tiles(entry.tiles)}"
        f"<details><summary>Numbers</summary>{numbers}</details></section>"
    )


def _patients(atlas: Atlas, shown: Mapping[str, Entry]) -> str:
    ranking = atlas.ranking
    chief = [name for name in dict.fromkeys((ranking.by, *CHIEF)) if name in ranking.measures]
    head = "".join(f"<th>{escape(MEASURES[name].label)}</th><th>worse than</th>" for name in chief)
    body = []
    for patient in ranking.order:
        cells = []
        for name in chief:
            value, worse = ranking.values[name].get(patient), ranking.worse_than(patient, name)
            cells.append(f"<td>{'' if value is None else _figure(value)}</td>")
            cells.append(f"<td>{'' if worse is None else f'{worse:.0f}%'}</td>")
        kind = " class='shown'" if patient in shown else ""
        body.append(
            f"<tr{kind} data-patient='{escape(patient, quote=True)}' {_data(atlas, patient)}>"
            f"<td class='w'>{escape(patient)}</td>{''.join(cells)}</tr>"
        )
    return (
        f"<div class='scroll'><table id='patients'><thead><tr><th class='w'>Patient</th>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _data(atlas: Atlas, patient: str) -> str:
    """What the page sorts by: larger is worse."""
    found = []
    for name in atlas.ranking.measures:
        value = atlas.ranking.values[name].get(patient)
        if value is not None:
            sign = -1 if MEASURES[name].better == "higher" else 1
            found.append(f"data-{_key(name)}='{sign * value:.8g}'")
    return " ".join(found)


def _key(measure: str) -> str:
    return measure.replace("_", "")  # so that HTML's data- attributes and JavaScript's dataset agree


def _tiles(found: Sequence[Tile]) -> str:
    return "<div class='tiles'>" + "".join(
        f"<figure><img src='{tile.address}' alt='{escape(tile.label)}'>"
        f"<figcaption>{escape(tile.label)} <span class='note'>{escape(tile.note)}</span></figcaption></figure>"
        for tile in found
    ) + "</div>"  # fmt: skip


def _lesions(atlas: Atlas) -> Iterable[str]:
    reading = atlas.reading
    if reading is None:
        yield "<p class='note'>No lesion reading was given (training_tools.lesions; --lesions).</p>"
        return
    yield _list(reading.sentences())
    header = ("Group", "found", "missed", "missed of real ones", "in the synthetic image alone", "in neither")
    rows = []
    for group, counts in reading.groups.items():
        real = counts[FOUND] + counts[MISSED]
        share = f"{counts[MISSED] / real:.0%}" if real else "–"
        rows.append((group or "no group", counts[FOUND], counts[MISSED], share, counts[INVENTED], counts[CLEAR]))
    yield table_html(header, rows)
    if not atlas.lesion_strips:
        yield "<p class='note'>No picture: nothing was missed or invented in the cases of this evaluation.</p>"
        return
    yield (
        f"<p class='note'>{len(atlas.lesion_strips)} of {len(reading.failures)} are drawn, missed ones first; all "
        "stand in atlas.json.</p>"
    )
    yield "<div class='failures'>"
    for failure, strip in atlas.lesion_strips:
        word = "vanished" if failure.what == MISSED else "invented"
        yield (
            f"<div class='failure'><b>{word}</b> {escape(failure.case)}: {escape(failure.told)}<br>"
            f"<img src='{strip}' alt='{word}: {escape(failure.case)}'></div>"
        )
    yield "</div>"


def _uncertainty(atlas: Atlas) -> Iterable[str]:
    within = atlas.within
    if within is None:
        yield "<p>No case has an uncertainty map, so this page cannot say whether doubt and error go together.</p>"
        return
    yield _list([*within.sentences, atlas.doubt.sentence])
    axis = f"mean {'standard deviation' if within.calibrated else 'uncalibrated spread'} of a patient (grey values)"
    drawn = [figures.by_deviation(within), figures.sparsification(within)]
    if atlas.doubt.x:
        drawn.append(figures.scatter(atlas.doubt, axis, "mean absolute error (grey values)"))
    yield f"<div class='plots'>{''.join(drawn)}</div>"
    yield (
        "<p class='note'>In tissue: the mask of the scores where the source or the real image is above "
        f"{LEAST_SIGNAL:.0%} of its range; in empty background any map would be right. Bins and curves: each patient "
        "weighs the same; intervals are a bootstrap over patients.</p>"
    )


def _likeness(atlas: Atlas) -> Iterable[str]:
    found = atlas.likeness
    if not found.x:
        yield f"<p>{escape(found.sentence)} No case has a distance from the training scans.</p>"
        return
    verdicts = [entry.likeness["verdict"] for entry in atlas.entries if entry.likeness is not None]
    said = [f"{verdicts.count(kind)} of {len(verdicts)} cases: {kind}." for kind in dict.fromkeys(verdicts)]
    yield _list([found.sentence, *said])
    axis = "distance, in units of the furthest training scan's"
    yield f"<div class='plots'>{figures.scatter(found, axis, 'mean absolute error (grey values)')}</div>"


def _all_cases(atlas: Atlas, rows: Sequence[Mapping[str, Any]]) -> str:
    names = ["place", "patient", "case", "mean_uncertainty", "patient_rank_correlation", "distance_ratio", "verdict"]
    names[3:3] = [name for name in (atlas.ranking.by, "ssim") if name in atlas.ranking.measures]
    names = list(dict.fromkeys(names))
    made = [[_cell(row[name]) for name in names] for row in rows]
    heads = [MEASURES[name].label if name in MEASURES else name.replace("_", " ") for name in names]
    return f"<details><summary>{len(rows)} cases</summary>{table_html(heads, made, 3)}</details>"


def _missing(atlas: Atlas) -> Iterable[str]:
    if missing := atlas.missing():
        yield "<h2>What is missing</h2>"
        yield _list([f"{len(cases)} cases: {reason} ({', '.join(cases[:6])}{' ...' if len(cases) > 6 else ''})."
                     for reason, cases in missing.items()])  # fmt: skip


def _settings(atlas: Atlas) -> Iterable[str]:
    told = {**atlas.settings, "measures": {name: MEASURES[name].parameters for name in atlas.ranking.measures}}
    yield (
        "<details><summary>Settings and what the measures mean</summary>"
        f"<pre class='scroll'>{escape(json.dumps(told, indent=1, ensure_ascii=False))}</pre></details>"
    )


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _cell(value: Any) -> str:
    return "" if value is None else _figure(value) if isinstance(value, float) else str(value)


def _figure(value: float) -> str:
    return f"{value:.4g}"
