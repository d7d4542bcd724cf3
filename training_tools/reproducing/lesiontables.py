"""Lesions in the report: sensitivity beside the published one, false positives, and the sweep over rho.

Shares and intervals are those of the reading itself (`lesions.json`), so that its page and the report never differ. Of
bone scans the published share is of lesions in areas matching hyperemia; all lesions stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ..lesionreading.boneresults import ALL
from ..lesionreading.page import star, starred
from ..lesionreading.synthetics import OF_IMAGES
from ..lesionreading.task import INVENTED
from .published import published, words
from .tables import PUBLISHED, Table, read_csv, read_json

# What a lesion is called that counts in truth: bone scans take up more, prostate lesions are darker than their zone.
_COUNTS = {"pool2delayed": "increased", "us2mri": "seen"}
_SENSITIVITY = {
    "pool2delayed": "Sensitivity: lesions that are increased in the synthetic image, of those increased in the real "
    "one and lying in areas matching hyperemia, as the published numbers are; of all lesions in the columns beside.",
    "us2mri": "Sensitivity: lesions that are seen (darker than what surrounds them) in the synthetic image, of those "
    "seen in the real one.",
}
_ALONE = {
    "pool2delayed": "Sensitivity alone rewards inventing uptake: read it with the false positives.",
    "us2mri": "Sensitivity alone rewards inventing lesions: read it with the false positives.",
}
_INTERVALS = (
    "The interval over patients resamples patients; Wilson's and Clopper-Pearson's take lesions as independent, which "
    "several of one patient are not, so they are too narrow. Where patients cannot be resampled, the reason is given."
)
CHECKED = (
    "That no image comes from a translator that saw its patient was checked against the record of the cross-fit; the "
    "page of the reading, which is given images alone, says that it takes this on trust."
)
_NO_ZONES = (
    "No zones of the prostate were given: lesions that touch the dark transition zone are compared with it, too, and "
    "their contrast is understated."
)
Share = Mapping[str, Any]  # of lesions.json: k of n, value, wilson, clopper_pearson, by_patient; or refused


@dataclass(frozen=True)
class Sensitivity:
    """Of lesions of one group. chief: the share that stands beside the published one; every: of all lesions, in bone
    scans. invented: places that are not lesions in truth. unread: lesions that could not be read."""

    group: str
    chief: Optional[Share]
    every: Optional[Share]
    invented: int
    unread: int


def sensitivities(task: str, folder: Path) -> list[Sensitivity]:
    """By group, in the published order, and of all groups together; groups without lesions are left to the caller."""
    results = read_json(folder / "lesions.json")["results"]
    own = results if task == "us2mri" else next(iter(results["readers"].values()))
    every = {share["of"]: share for share in own["sensitivity"]}
    chief = every if task == "us2mri" else {share["of"]: share for share in own["sensitivity_hyperaemic"]}
    whole = own["sensitivity"][-1]["of"]
    counted = _counted(folder, whole)
    order = [*published(task).get("sensitivity", {})]
    named = {*chief, *every, *counted} - {whole}
    groups = sorted(named, key=lambda group: (order.index(group) if group in order else len(order), group))
    return [
        Sensitivity(
            group, chief.get(group), None if task == "us2mri" else every.get(group), *counted.get(group, (0, 0))
        )
        for group in [*groups, whole]
    ]


def _counted(folder: Path, whole: str) -> dict[str, tuple[int, int]]:
    """Group to (invented, not read), of the first reader. whole: the name of all groups together."""
    rows = read_csv(folder / "lesions.csv")
    reader = rows[0].get("reader") if rows else None
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        if row.get("reader") == reader:
            for group in (row["group"], whole):
                invented, unread = found.get(group, (0, 0))
                found[group] = (invented + (row["outcome"] == INVENTED), unread + (not row["outcome"]))
    return found


def false_positives(task: str, folder: Path) -> Optional[Share]:
    """Mean number an image with its interval, over all groups; None where no image could be read."""
    results = read_json(folder / "lesions.json")["results"]
    if task == "us2mri":
        told: Share = results["false_positives_per_image"]
    else:
        own = next(iter(results["readers"].values()))["false_positives_per_image"]
        told = next((share for share in own if share["of"] == ALL), {})
    return told if told.get("value") is not None else None


def not_read(folder: Path) -> tuple[str, ...]:
    """Sentences of a reading about what it left out, refused or could not do as it should. Of images it was given it
    says that their translators are taken on trust; here these were checked before (`CHECKED`)."""
    record = read_json(folder / "lesions.json")
    told = [str(sentence) for name in ("excluded", "notes") for sentence in record.get(name) or ()]
    told = [sentence for sentence in told if sentence != OF_IMAGES]
    if record.get("zones") is False:
        told.append(_NO_ZONES)
    for row in read_csv(folder / "lesions.csv"):
        reason, who = row.get("refused") or "", f"{row['case']}, lesion {row['lesion']}"
        if reason and not any(sentence.startswith(f"{who}:") for sentence in told):
            told.append(f"{who}: {reason}")
    return tuple(told)


def lesions(task: str, folder: Path) -> Table:
    """Sensitivity of each group beside the published one, and false positives."""
    known, bone = published(task).get("sensitivity", {}), task == "pool2delayed"
    there, none = sensitivities(task, folder), f"no lesion {_COUNTS[task]}"
    rows: list[tuple[Any, ...]] = []
    for own in there:
        told = words(known[own.group], " %") if own.group in known else "–"
        every = (percent(own.every, none), _of(own.every)) if bone else ()
        rows.append((own.group, told, *_cells(own.chief, none), *every, own.invented, own.unread))
    for group in known:
        if group not in {own.group for own in there}:
            rows.append((group, words(known[group], " %"), "no lesion of this group", "", "", "", "0", "", "", "", ""))
    rate = false_positives(task, folder)
    if rate is not None:
        told = words(published(task)["false_positives_per_image"]) if known else "–"
        cells = (f"{rate['value']:.2f}", over_patients(rate, 1.0, ""), "", "", f"{rate['n']} images")
        rows.append(("false positives an image", told, *cells, *(("", "") if bone else ()), "", ""))
    header = (
        "Disease group" if bone else "Group", PUBLISHED, "Sensitivity in hyperemia" if bone else "Sensitivity",
        "95% interval over patients", "Wilson", "Clopper-Pearson", "Lesions",
        *(("Sensitivity, all lesions", "All lesions") if bone else ()), "Invented", "Not read",
    )  # fmt: skip
    title = "Sensitivity by disease group" if bone else "Sensitivity for lesions"
    doubts = starred([*(own.chief for own in there), rate])
    notes = (_SENSITIVITY[task], _INTERVALS, _ALONE[task], CHECKED, *([doubts] if doubts else []))
    return Table("lesions", title, header, tuple(rows), notes, left=not_read(folder))


def _cells(share: Optional[Share], none: str) -> tuple[str, str, str, str, str]:
    if share is None or not share["n"]:
        return (none, "", "", "", _of(share))
    return (
        percent(share, none), over_patients(share), _between(share["wilson"]), _between(share["clopper_pearson"]),
        _of(share),
    )  # fmt: skip


def percent(share: Optional[Share], none: str) -> str:
    """A share in words."""
    return none if share is None or not share["n"] else f"{100 * share['value']:.1f} %"


def over_patients(share: Share, scale: float = 100.0, unit: str = " %") -> str:
    """The interval by resampling patients, or why there is none."""
    made = share.get("by_patient") or {}
    return _between(made, scale, unit) if made.get("low") is not None else str(made.get("refused", ""))


def _between(made: Mapping[str, Any], scale: float = 100.0, unit: str = " %") -> str:
    digits = 0 if scale > 1 else 2
    return f"{scale * made['low']:.{digits}f} to {scale * made['high']:.{digits}f}{unit}{star(made)}"


def _of(share: Optional[Share]) -> str:
    return "0 of 0" if share is None else f"{share['k']} of {share['n']}"


def _ends(share: Share) -> tuple[float, float, str]:
    """The interval over patients, or Wilson's where patients cannot be resampled, and a word for it."""
    made, word = share.get("by_patient") or {}, ""
    if made.get("low") is None:
        made, word = share["wilson"], " Wilson"
    return float(made["low"]), float(made["high"]), word


def sweep(folders: Mapping[str, Path]) -> Table:
    """Sensitivity of each group at each correlation; folders: name of a column to its reading of lesions."""
    known = published("pool2delayed")["sensitivity"]
    read = {name: {own.group: own for own in sensitivities("pool2delayed", at)} for name, at in folders.items()}
    groups = [*known, *sorted({group for own in read.values() for group in own} - {*known, ALL})]
    rows: list[tuple[Any, ...]] = []
    for group in groups:
        told = words(known[group], " %") if group in known else "–"
        rows.append((group, told, *(_cell(own[group].chief if group in own else None) for own in read.values())))
    whole = [own.get(ALL) for own in read.values()]
    rows.append((ALL, "–", *(_cell(own.chief if own else None) for own in whole)))
    rows.append((f"{ALL}, also outside hyperemia", "–", *(_cell(own.every if own else None) for own in whole)))
    rates = [false_positives("pool2delayed", folder) for folder in folders.values()]
    told = words(published("pool2delayed")["false_positives_per_image"])
    rows.append(("false positives an image", told, *("" if r is None else _rate(r) for r in rates)))
    rows.append(("lesions not read", "–", *(own.unread if own else 0 for own in whole)))
    header = ("Disease group", PUBLISHED, *read)
    notes = (
        "Each column is a study of its own: patients simulated with this correlation rho between the logarithms of "
        "hyperemia and late uptake, translators trained on them and tested on others of them. At rho 0 the blood pool "
        "says nothing about how much a lesion takes up later; what is found then is found by place and by chance.",
        "What the sensitivity of patients is depends on their rho, which is not known: no column is a result "
        "about patients, and none may be held against the published one.",
        "Of lesions in areas matching hyperemia, as the published numbers are. 95% intervals by resampling patients; "
        "Wilson's, marked so, where that is not possible, takes lesions as independent and is too narrow. The bars of "
        "the picture are the same.",
        CHECKED,
    )
    left = tuple(f"{name}: {sentence}" for name, folder in folders.items() for sentence in not_read(folder))
    title = "Sensitivity over the correlation of hyperemia and uptake"
    doubts = starred(
        [rates, *([share for row in own.values() for share in (row.chief, row.every)] for own in read.values())]
    )
    notes += (doubts,) if doubts else ()
    return Table("sweep", title, header, tuple(rows), notes, left=left)


def _cell(share: Optional[Share]) -> str:
    if share is None or not share["n"]:
        return f"no lesion {_COUNTS['pool2delayed']}"
    low, high, word = _ends(share)
    word += star(share.get("by_patient") or {})
    return f"{100 * share['value']:.0f} % ({100 * low:.0f} to {100 * high:.0f} %{word}; {_of(share)})"


def _rate(share: Share) -> str:
    made = share.get("by_patient") or {}
    return f"{share['value']:.2f}" + (f" ({_between(made, 1.0, '')})" if made.get("low") is not None else "")


def sweep_plot(folders: Mapping[str, tuple[float, Path]]) -> str:
    """Sensitivity of each group over rho, with intervals over patients (Wilson's where there are none), as SVG."""
    from imagetranslation.radiomics.preservation.figures import new_figure, svg

    figure = new_figure(8.0, 4.2)
    axes = figure.subplots()
    read = {rho: {own.group: own.chief for own in sensitivities("pool2delayed", at)} for rho, at in folders.values()}
    looks = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", "-."), ("#CC79A7", "D", ":"))
    looks += (("#000000", "v", (0, (5, 1))),)  # type: ignore[assignment]
    for number, group in enumerate(published("pool2delayed")["sensitivity"]):
        colour, mark, line = looks[number % len(looks)]
        told = [(rho, share) for rho, own in sorted(read.items()) if (share := own.get(group)) and share["n"]]
        if not told:
            continue
        values = [100 * share["value"] for _, share in told]
        ends = [_ends(share) for _, share in told]
        away = [[v - 100 * e[0] for v, e in zip(values, ends)], [100 * e[1] - v for v, e in zip(values, ends)]]
        at = [rho + 0.006 * (number - 2) for rho, _ in told]
        axes.errorbar(
            at, values, [[max(0, d) for d in side] for side in away], color=colour, marker=mark, linestyle=line,
            label=group, capsize=2, markersize=4, linewidth=1.2,
        )  # fmt: skip
    axes.set_xlabel("rho between hyperemia and late uptake (simulated, not comparable)", fontsize=9)
    axes.set_ylabel("sensitivity in hyperemia (%)", fontsize=9)
    axes.set_ylim(-3, 103)
    axes.legend(fontsize=7, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return svg(figure, "sweep")
