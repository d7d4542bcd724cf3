"""What the rows of all prostates say together, and the page that says it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from imagetranslation.radiomics.preservation.page import table_html
from imagetranslation.readerstudy.statistics.bootstrap import Resampling

from . import scores
from .froc import curves, in_words, without_curve
from .page import STYLE, doubts, gallery, interval_cells, items, percent, percent_interval, plain, rate_interval
from .plots import froc_plot
from .prostate_rows import BY_TABLE, Rows
from .prostate_view import IMAGES
from .task import FOUND, MISSED

ALL = "all lesions"
NAMES = {"synthetic": "synthetic", "source": "ultrasound read as T2", "real": "real T2 image"}
SHARE = ("Found", "Seen", "Patients", "Sensitivity", "Wilson 95%", "Clopper-Pearson 95%", "By patients 95%")
Row = Mapping[str, Any]


def results(made: Sequence[Rows], sizes: Sequence[float], resampling: Resampling, truth: str) -> dict[str, Any]:
    """Outcomes, shares with intervals by group, zone and size, false positives, contrast, Dice and FROC; the floor.

    truth: BY_RULE or BY_TABLE.
    """
    lesions, floor = ([row for rows in made for row in getattr(rows, part)] for part in ("lesions", "floor"))
    images = [rows.image for rows in made]

    def sensitivity(rows: Sequence[Row]) -> dict[str, Any]:
        return scores.sensitivity(rows, resampling)

    def false(key: str) -> dict[str, Any]:
        told = scores.mean([row[key] for row in images], [str(row["patient"]) for row in images], resampling)
        return {**told, "total": int(sum(row[key] for row in images))}

    usable = [row for row in lesions if row["outcome"]]
    bands = scores.bands(sizes, "mm")
    return {
        "outcomes": dict(Counter(row["outcome"] for row in usable)),
        "sensitivity": _grouped(lesions, "group", sensitivity),
        "specificity": scores.specificity(lesions, resampling),
        "by_zone": scores.by(usable, lambda row: str(row["zone"]), (), sensitivity),
        "by_size": scores.by(usable, lambda row: scores.band(row["diameter_mm"], sizes, "mm"), bands, sensitivity),
        "false_positives_per_image": false("false_positives"),
        "contrast": {name: _agreement(usable, name, resampling) for name in ("contrast", "cnr")},
        "dice": {image: _dice(usable, image, resampling) for image in IMAGES},
        "floor": {
            "sensitivity": sensitivity(floor), "specificity": scores.specificity(floor, resampling),
            "false_positives_per_image": false("false_positives_source"),
        },
        "froc": _curves(made, usable, resampling, truth),
    }  # fmt: skip


def _grouped(rows: Sequence[Row], key: str, measure: Callable[[Sequence[Row]], dict[str, Any]]) -> list[dict[str, Any]]:
    return [*scores.by(rows, lambda row: str(row[key]), (), measure), {"of": ALL, **measure(rows)}]


def _agreement(rows: Sequence[Row], name: str, resampling: Resampling) -> dict[str, Any]:
    """Synthetic less real contrast of the lesions that are seen in the real image."""
    kept = [row for row in rows if row["outcome"] in (FOUND, MISSED) and row[f"{name}_synthetic"] != ""]
    return scores.agreement(
        [row[f"{name}_synthetic"] for row in kept], [row[f"{name}_real"] for row in kept],
        [str(row["patient"]) for row in kept], resampling,
    )  # fmt: skip


def _dice(rows: Sequence[Row], image: str, resampling: Resampling) -> dict[str, Any]:
    kept = [row for row in rows if row["outcome"] in (FOUND, MISSED)]
    return scores.mean([row[f"dice_{image}"] for row in kept], [str(row["patient"]) for row in kept], resampling)


def _curves(made: Sequence[Rows], lesions: Sequence[Row], resampling: Resampling, truth: str) -> dict[str, Any]:
    """FROC of the detector in each of IMAGES, of the real one with a table alone; refused without seen lesions."""
    seen = [row for row in lesions if row["outcome"] in (FOUND, MISSED)]
    if not seen:
        return {"refused": "no lesion is seen in the real image"}
    marks = [row for rows in made for row in rows.marks]
    patients = [str(rows.image["patient"]) for rows in made]
    if truth == BY_TABLE:
        return curves(IMAGES, marks, seen, patients, resampling)
    told = curves([image for image in IMAGES if image != "real"], marks, seen, patients, resampling)
    return {**told, "real": without_curve("real", marks, seen, resampling)}


def parts(title: str, record: Mapping[str, Any], lesions: Sequence[Row], failures: Sequence[Any]) -> list[str]:
    """The page's HTML parts."""
    found = record["results"]
    made = [STYLE, f"<h1>{escape(title)}</h1>", *_banner(record), "<h2>Rule</h2>", items(record["rule"])]
    made += ["<h2>Sensitivity</h2>", _shares("Group", found["sensitivity"])]
    made += [_shares("Diameter", found["by_size"]), _shares("Zone", found["by_zone"]), _note_on_size()]
    made += ["<h2>Specificity and false positives, and the floor</h2>", _against_floor(found)]
    made += ["<h2>Contrast and Dice</h2>", _contrast(found), "<h2>Free-response curves of the detector</h2>"]
    made.append(_froc(found["froc"]))
    for kind, words in (("missed", "Missed lesions"), ("invented", "Invented places")):
        made += [f"<h2>{words}</h2>", gallery(kind, [one for one in failures if one.kind == kind])]
    made += ["<h2>All lesions</h2>", _every(lesions)]
    left = [*record["excluded"], *record["notes"]]
    made += ["<h2>Left out, and what else to know</h2>", items(left) if left else "<p>Nothing was left out.</p>"]
    told = json.dumps({"settings": record["settings"], "software": record["software"]}, indent=1)
    made.append(f"<details><summary>Settings</summary><pre class='scroll'>{escape(told)}</pre></details>")
    return made


def _banner(record: Mapping[str, Any]) -> Iterable[str]:
    simulated = "simulated patients: nothing here is comparable with results on patients"
    kind = simulated if record["simulated"] else "patients"
    truth = "the table of lesions" if record["settings"]["truth"] == "table" else "the rule below, on the real T2 image"
    yield (
        f"<p class='headline{' none' if record['simulated'] else ''}'>{record['patients']} {kind}; {record['cases']} "
        f"cases. What is seen in truth: {truth}.</p>"
        "<p class='note'>Synthetic images are made by a model; they and the numbers here are not for diagnosis. "
        "Sensitivity alone rewards inventing lesions: read it with the false positives.</p>"
    )
    if record["excluded"]:
        yield f"<p class='headline none'>{len(record['excluded'])} cases could not be read; they are listed below.</p>"
    if not record["zones"]:
        yield (
            "<p class='headline none'>No zones were given: lesions of the bright peripheral zone that touch the dark "
            "transition zone are compared with both, and their contrast is understated.</p>"
        )


def _shares(first: str, rows: Sequence[Row]) -> str:
    cells = [[row["of"], row["k"], row["n"], row["patients"], percent(row), *interval_cells(row)] for row in rows]
    return table_html([first, *SHARE], cells) + doubts(rows)


def _note_on_size() -> str:
    return (
        "<p class='note'>Seen: in the real image. Diameter: of the ball with the lesion's volume; a band holds its "
        "lower end. Wilson and Clopper-Pearson take the lesions of a patient for independent; the last interval "
        "resamples patients with all their lesions (BCa).</p>"
    )


def _against_floor(found: Mapping[str, Any]) -> str:
    rows = []
    for name, own in (("synthetic", found), ("ultrasound read as T2 (floor)", found["floor"])):
        share, rate = own["specificity"], own["false_positives_per_image"]
        sensitivity = own["sensitivity"][-1] if isinstance(own["sensitivity"], list) else own["sensitivity"]
        rows.append([
            name, percent(sensitivity), percent(share), share["n"],
            percent_interval(share["wilson"]) if share["n"] else "", rate["total"], plain(rate), rate_interval(rate),
        ])  # fmt: skip
    header = ["Image", "Sensitivity", "Specificity", "Not seen in truth", "Wilson 95%", "False positives", "An image",
              "By patients 95%"]  # fmt: skip
    return (
        "<p class='note'>Specificity: of the lesions that the real image does not show. A translation has to do better "
        f"than the floor in both.</p>{table_html(header, rows)}"
        f"{doubts([own['false_positives_per_image'] for own in (found, found['floor'])])}"
    )


def _contrast(found: Mapping[str, Any]) -> str:
    rows = []
    for name, words in (("contrast", "Contrast (SD of the gland)"), ("cnr", "CNR")):
        own = found["contrast"][name]
        limits = own.get("limits")
        told = f"{limits[0]:.2f} to {limits[1]:.2f}" if limits else own.get("limits_refused", own.get("refused", ""))
        rows.append([words, own["n"], plain(own["bias"]), rate_interval(own["bias"]), told])
    header = ["Synthetic less real", "Lesions", "Bias", "By patients 95%", "Limits of agreement"]
    dices = [[NAMES[image], own["n"], plain(own), rate_interval(own)] for image, own in found["dice"].items()]
    return (
        "<p class='note'>Of lesions that are seen in the real image. A bias above 0: darker in the real image, so the "
        f"synthetic one understates them.</p>{table_html(header, rows)}"
        f"{table_html(['Mean Dice of the detector', 'Lesions', 'Dice', 'By patients 95%'], dices)}"
        f"{doubts([found['contrast'], found['dice']])}"
    )


def _froc(curves: Mapping[str, Any]) -> str:
    if "refused" in curves:
        return f"<p>There is none: {escape(curves['refused'])}.</p>"
    rates = [row["false_positives_per_image"] for row in curves["synthetic"]["at"]]
    drawn = {image: curve for image, curve in curves.items() if "points" in curve}
    rows = [
        [NAMES[image], *(f"{row['sensitivity']:.0%}" for row in curve["at"]), f"{curve['mean']['sensitivity']:.0%}"]
        for image, curve in drawn.items()
    ]
    header = ["Lesions found at false positives an image of", *(f"{rate:g}" for rate in rates), "Mean"]
    real = (
        "In the real image a mark is false where it means no lesion that the table calls seen: what the table lacks "
        "counts against the detector there."
        if "points" in curves["real"]
        else f"In the real image: {in_words(curves['real'])}"
    )
    return f"<p class='note'>{escape(real)}</p>{froc_plot(drawn, NAMES)}{table_html(header, rows)}"


def _every(lesions: Sequence[Row]) -> str:
    names = ("case", "lesion", "group", "zone", "diameter_mm", "cnr_real", "cnr_synthetic", "cnr_source", "dice_real",
             "dice_synthetic", "outcome", "refused")  # fmt: skip
    rows = [[row[name] for name in names] for row in lesions]
    table = table_html([name.replace("_", " ") for name in names], rows, 4)
    return f"<details><summary>{len(rows)} lesions</summary>{table}</details>"
