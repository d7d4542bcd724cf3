"""The page of the bone-scan reading: what was found and missed by group, beside the study's numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from imagetranslation.radiomics.preservation.page import table_html

from .froc import in_words
from .page import STYLE, doubts, gallery, interval_cells, items, percent, percent_interval, plain, rate_interval
from .planar import ALIKE
from .plots import agreement_plot, froc_plot
from .task import CLEAR, FOUND, INVENTED, MISSED

NAMES = {"synthetic": "synthetic", "source": "blood pool read as delayed", "real": "real delayed image"}
RULE = "rule"
SIMULATED = "simulated, not comparable"


def parts(
    title: str, record: Mapping[str, Any], lesions: Sequence[Mapping[str, Any]], failures: Sequence[Any]
) -> list[str]:
    """The page's HTML parts. failures: `views.Failure`, in any order."""
    results, simulated = record["results"], record["simulated"]
    made = [STYLE, f"<h1>{escape(title)}</h1>", _banner(record), *_alarms(record)]
    made += ["<h2>Rule</h2>", items(_rules(record))]
    for reader, own in results["readers"].items():
        who = "" if reader == RULE else f", {reader}"
        made += [f"<h2>Sensitivity{escape(who)}</h2>", _sensitivity(own, record)]
        made += [_confusion(own)]
        made += [f"<h2>Specificity and false positives{escape(who)}</h2>", _specificity(own)]
        made += [f"<h2>By size and by contrast{escape(who)}</h2>", _bands(own)]
    made += ["<h2>The floor: the blood pool read as if it were the delayed image</h2>", _floor(results["floor"])]
    if "ceiling" in results:
        made += [
            "<h2>The ceiling: the real delayed image read by the rule</h2>",
            _sensitivity(results["ceiling"], record),
            _specificity(results["ceiling"]),
        ]
    made += ["<h2>Free-response curves of the detector</h2>", _froc(results["froc"], record["settings"])]
    made += ["<h2>Uptake ratio, synthetic less real</h2>", _uptake(results["uptake_ratio"], lesions)]
    for kind, words in (("missed", "Missed lesions"), ("invented", "Invented places")):
        made += [f"<h2>{words}</h2>", gallery(kind, [one for one in failures if one.kind == kind])]
    made += ["<h2>Left out, and what else to know</h2>", _left_out(record)]
    made += ["<h2>Settings</h2>", _settings(record)]
    if simulated:
        made.append("<p class='headline none'>All images on this page are simulated.</p>")
    return made


def _banner(record: Mapping[str, Any]) -> str:
    simulated = "simulated patients: nothing here is comparable with results on patients"
    kind = simulated if record["simulated"] else "patients"
    return (
        f"<p class='headline{' none' if record['simulated'] else ''}'>{record['patients']} {kind}; {record['cases']} "
        f"views. Truth: {escape(_truth(record))}.</p>"
        "<p class='note'>Synthetic images are made by a model; they and the numbers here are not for diagnosis. "
        "Sensitivity alone rewards inventing uptake: read it with the false positives.</p>"
    )


def _truth(record: Mapping[str, Any]) -> str:
    if record["settings"]["calls"].get("real_too"):
        return "each reader's own calls in the real delayed image"
    if record["settings"]["truth"] == "table":
        return "the table of lesions"
    return "the rule below on the real delayed image"


def _alarms(record: Mapping[str, Any]) -> Iterable[str]:
    for words in ALIKE:
        count = record["alike"][words]
        if count:
            told = f"In {count} of {record['cases']} views the synthetic image is {words} but for a gain"
            yield f"<p class='headline none'>{told}: this is no translation.</p>"
    if record["excluded"]:
        yield f"<p class='headline none'>{len(record['excluded'])} views could not be read; they are listed below.</p>"
    if empty := record["unreadable"]:
        told = f"Nothing can be read in {empty} synthetic images: their lesions count as missed"
        yield f"<p class='headline none'>{told}.</p>"


def _rules(record: Mapping[str, Any]) -> list[str]:
    said = list(record["rule"])
    if record["settings"]["calls"]:
        readers = ", ".join(record["settings"]["calls"]["readers"])
        by = " and the ".join(record["false_positives_by"])
        said.append(
            f"Calls of lesions are those of {readers}; the rule gives ratios, floor and curves. False positives are "
            f"those of the {by}."
        )
    return [
        *said,
        "Intervals: Wilson and Clopper-Pearson take the lesions of a patient for independent; the last one resamples "
        "patients with all their lesions (BCa) and is refused below five patients and where no resample differs.",
    ]


def _sensitivity(own: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    ours = f"Sensitivity ({SIMULATED})" if record["simulated"] else "Sensitivity"
    header = ["Group", "Found", "Increased", "Patients", ours, "Wilson 95%", "Clopper-Pearson 95%",
              "By patients 95%", "Published"]  # fmt: skip
    chief = [[*_share(row), record["published"].get(row["of"], "")] for row in own["sensitivity_hyperaemic"]]
    every = [_share(row) for row in own["sensitivity"]]
    return (
        "<p>Lesions in areas of hyperaemia, as the published numbers are. Here: increased in the real delayed image, "
        f"and found so in the synthetic one.</p>{table_html(header, chief)}{doubts(own['sensitivity_hyperaemic'])}"
        f"<details><summary>All lesions, with or without hyperaemia</summary>{table_html(header[:-1], every)}"
        f"{doubts(own['sensitivity'])}</details>"
        "<p class='note'>Published: Park et al., Nucl Med Mol Imaging 2023, doi 10.1007/s13139-022-00786-y; a "
        "lesion-based reading. By whom, by which rule, in how many of its patients, and its false positives: not among "
        "the facts that we have.</p>"
    )


def _confusion(own: Mapping[str, Any]) -> str:
    """All places that were read: increased in truth or not, and in the synthetic image or not."""
    count = own["outcomes"]
    rows = [
        ["increased in truth", count.get(FOUND, 0), f"{count.get(MISSED, 0)} (missed)"],
        ["not increased in truth", f"{count.get(INVENTED, 0)} (invented)", count.get(CLEAR, 0)],
    ]
    return table_html(["All places that were read", "increased in the synthetic image", "not increased there"], rows)


def _share(row: Mapping[str, Any]) -> list[Any]:
    return [row["of"], row["k"], row["n"], row["patients"], percent(row), *interval_cells(row)]


def _specificity(own: Mapping[str, Any]) -> str:
    rates = {row["of"]: row for row in own["false_positives_per_image"]}
    shares = {row["of"]: row for row in own["specificity"]}
    none = {"k": 0, "n": 0, "patients": 0, "refused": "there are none"}
    header = ["Group", "Not increased", "Of these clear", "Specificity", "Wilson 95%", "Clopper-Pearson 95%",
              "By patients 95%", "Images", "False positives", "An image", "By patients 95%"]  # fmt: skip
    rows = []
    for name, rate in rates.items():
        share = shares.get(name, none)
        rows.append([name, share["n"], share["k"], percent(share), *interval_cells(share), rate["n"],
                     rate.get("total", 0), plain(rate), rate_interval(rate)])  # fmt: skip
    return table_html(header, rows) + doubts([own["specificity"], own["false_positives_per_image"]])


def _bands(own: Mapping[str, Any]) -> str:
    made = []
    for key, words in (("by_size", "Diameter"), ("by_contrast", "Uptake ratio in the real image")):
        header = [words, "Found", "Increased", "Patients", "Sensitivity", "Wilson 95%", "Clopper-Pearson 95%",
                  "By patients 95%"]  # fmt: skip
        made.append(table_html(header, [_share(row) for row in own[key]]) + doubts(own[key]))
    note = "Diameter: of the disc with the area of the lesion's largest part. A band holds its lower end."
    return "".join(made) + f"<p class='note'>{note}</p>"


def _floor(floor: Mapping[str, Any]) -> str:
    rates = {row["of"]: row for row in floor["false_positives_per_image"]}
    rows = [
        [row["of"], row["k"], row["n"], percent(row), percent_interval(row["wilson"]) if row["n"] else "",
         plain(rates.get(row["of"], {}))]
        for row in floor["sensitivity_hyperaemic"]
    ]  # fmt: skip
    header = ["Group", "Found", "Increased", "Sensitivity", "Wilson 95%", "False positives an image"]
    return (
        "<p class='note'>A translation has to do better than this in both columns: uptake follows hyperaemia, so that "
        f"the blood pool alone shows many of the lesions.</p>{table_html(header, rows)}"
    )


def _froc(curves: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    if "refused" in curves:
        return f"<p>There is none: {escape(curves['refused'])}.</p>"
    rates = [row["false_positives_per_image"] for row in curves["synthetic"]["at"]]
    header = ["Image", *(f"{rate:g}" for rate in rates), "Mean"]
    rows = []
    drawn = {name: curve for name, curve in curves.items() if "points" in curve}
    for name, curve in drawn.items():
        cells = [f"{row['sensitivity']:.0%} ({percent_interval(row['interval'])})" for row in curve["at"]]
        mean = curve["mean"]
        rows.append([NAMES[name], *cells, f"{mean['sensitivity']:.0%} ({percent_interval(mean['interval'])})"])
    own = (
        " Which lesions are increased is each reader's own call here, but false marks are still told by the rule: both "
        "do not belong to one truth, so the curve is no reader's."
        if settings["calls"].get("real_too")
        else ""
    )
    real = (
        "In the real image a mark is false where it means no lesion that the table calls increased: what the table "
        "lacks counts against the detector there."
        if "points" in curves["real"]
        else f"In the real image: {in_words(curves['real'])}"
    )
    return (
        "<p class='note'>The detector knows no lesion; sensitivity at so many false positives an image, 95% intervals "
        f"by patients. Lesions that both sides share it cannot see. {escape(real)}{own}</p>{froc_plot(drawn, NAMES)}"
        f"{table_html(header, rows)}{doubts(drawn)}"
    )


def _uptake(groups: Sequence[Mapping[str, Any]], lesions: Sequence[Mapping[str, Any]]) -> str:
    header = ["Group", "Lesions", "Patients", "Bias", "By patients 95%", "Limits of agreement", "Mean absolute",
              "Median, per cent"]  # fmt: skip
    rows = []
    for row in groups:
        if "refused" in row:
            rows.append([row["of"], 0, 0, "", "", "", "", ""])
            continue
        limits = row["limits"]
        told = row["limits_refused"] if limits is None else f"{limits[0]:.2f} to {limits[1]:.2f}"
        rows.append([row["of"], row["n"], row["patients"], plain(row["bias"]), rate_interval(row["bias"]), told,
                     f"{row['mean_absolute']:.2f}", f"{row['median_percent']:+.0f}%"])  # fmt: skip
    note = "Limits hold the variance between and within patients (Bland and Altman 2007)."
    return table_html(header, rows) + doubts(groups) + f"<p class='note'>{note}</p>" + agreement_plot(lesions)


def _left_out(record: Mapping[str, Any]) -> str:
    excluded = [f"Not read: {text}" for text in record["excluded"]]
    if not excluded and not record["notes"]:
        return "<p>Nothing: every view and every lesion was read.</p>"
    return items([*excluded, *record["notes"]])


def _settings(record: Mapping[str, Any]) -> str:
    told = {name: record[name] for name in ("settings", "software", "synthetic")}
    shown = escape(json.dumps(told, indent=1))
    return f"<details><summary>All of them</summary><pre class='scroll'>{shown}</pre></details>"
