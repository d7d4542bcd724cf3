"""Where this study's protocol differs from the published one, point by point; what is not known of theirs is said.

Nothing here is filled in: "not published in what we could read" stands where a fact was looked for and not found, "not
among the facts that we have" where nobody can say even that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..benchmarking.entries import STUDY, entries
from .choices import Choices
from .published import GAP, UNKNOWN, published, words
from .translating import NETWORK

NOT_DONE = "not done here; why, is told under Steps"
# What there is to say of a step, and nothing where it was left out.
_POINTS = {
    "preservation": ("Features", "What is correlated", "Preserved", "Radiomic features"),
    "classification": tuple(f"Classification: {what}" for what in ("images", "models", "scores", "label")),
    "lesions": ("Lesions", "Reading", "Lesion counts", "False positives", "Osteomyelitis and cellulitis"),
    "atlas": ("Failure atlas",),
}
_OF_MIRP = 185  # of the 186: the area under the intensity-volume histogram has no reference value
_CHOSEN = ("2D-TravelGAN", "3D-Pix2Pix")  # for the two networks of the study that are not known
Row = tuple[str, str, str]


def differences(choices: Choices, about: Mapping[str, Any], facts: Mapping[str, Any]) -> list[Row]:
    """(point, published, here). about: the data. facts: what the steps say of themselves (engine, features, networks,
    classifiers, and `left_out`, the names of steps that were not done)."""
    own = _prostate if choices.task == "us2mri" else _bone_scan
    rows = [*_data(choices, about), *own(choices, about, facts), *_always(choices)]
    none = {point for step in facts.get("left_out", ()) for point in _POINTS.get(step, ())}
    return [(point, told, NOT_DONE if point in none else here) for point, told, here in rows]


def _data(choices: Choices, about: Mapping[str, Any]) -> list[Row]:
    known = published(choices.task)
    whose = "TCIA Prostate-MRI-US-Biopsy (UCLA)" if choices.task == "us2mri" else (
        "inflammatory arthritis, osteomyelitis, CRPS, cellulitis, recent bone injury"
    )  # fmt: skip
    kind = "simulated patients: no patient, no claim about patients" if about["simulated"] else "patients"
    part = f". {about['simulated_in_part']}" if about.get("simulated_in_part") else ""
    here = f"{about['patients']} {kind}, {about['cases']} cases{part}"
    return [("Patients", f"{words(known['patients'])}; {whose}", here)]


def _prostate(choices: Choices, about: Mapping[str, Any], facts: Mapping[str, Any]) -> list[Row]:
    s = choices.sizes
    size = " x ".join(str(n) for n in s.voxels)
    here = f"{size} voxels, simulated" if choices.simulated else "the grid that preparation was told, or each source's"
    models = ", ".join(facts.get("classifiers", s.classifiers)) or "none"
    return [
        ("Grid", "128 x 128 x 64, resampled", here),
        (
            "Intensities", "min-max of the volume to 0 to 1",
            "as each network's configuration says (min-max for the study's), inside the field of view",
        ),
        ("Registration of the pairs", GAP, _registration(choices, about)),
        (
            "Patients apart", "one split, 75/10/15; in the public code 24 patients stand in training and test",
            f"folds by patient, {s.folds} for the translators; {_copies(about)}; a leak is refused",
        ),
        (
            "Networks", "ten; eight are certain from the public code, the other two are not known",
            _networks(facts.get("networks", s.only or [*entries(choices.task)])),
        ),
        ("Training", "epochs: " + GAP, _training(choices)),
        (
            "SSIM", "in the public code without a data range for some networks, with 1.0 for others",
            "Gaussian window, data range stated, per patient, with floors, ceiling and intervals",
        ),
        (
            "Features", "186 IBSI features without morphology",
            _engine(facts),
        ),
        (
            "What is correlated",
            "real with synthetic MRI in the public code; run on networks with SSIM above 0.85",
            f"real with synthetic MRI, and source with synthetic, of {NETWORK} whatever its SSIM; one gland for both",
        ),
        (
            "Preserved", "threshold " + UNKNOWN,
            "Spearman's rho >= 0.8 and q < 0.05 (our choice); agreement (ICC) and twins are counted apart",
        ),
        (
            "Classification: images", "whether the translator had seen a patient: " + GAP,
            "no image from a translator that saw its patient"
            + ("; none that saw a tested patient of the fold; images of tested patients by translators of all training "
               "patients, those of training patients by translators of a part of them" if s.scheme == "nested" else
               "; a translator may have seen other tested patients (simple cross-fitting)"),
        ),
        (
            "Classification: models", "two machine-learning models and one deep model",
            f"{models}; {_learnt_from(facts)}",
        ),
        (
            "Classification: scores",
            "scaler and PCA fitted on all patients and AUC from thresholded labels in the public code",
            "all fitting inside the training patients; AUC from probabilities, within folds, with intervals",
        ),
        ("Classification: label", GAP, _label(choices)),
        ("Readers", "seven physicians; wording, scale and agreement statistic " + UNKNOWN,
         f"a study prepared for {s.readers} readers and {s.read} cases; nobody has read it"),
        ("Lesions", "not part of the study", "read by an automatic rule that its page states"),
    ]  # fmt: skip


def _bone_scan(choices: Choices, about: Mapping[str, Any], facts: Mapping[str, Any]) -> list[Row]:
    s = choices.sizes
    rows = [
        ("Images", "size and count normalisation " + UNKNOWN,
         "spot views of 256 x 256; counts scaled by the 99.8th percentile of each image" if choices.simulated
         else "as the data give them; counts scaled by the 99.8th percentile of each image"),
        ("Acquisition", "Tc-99m HMDP, blood pool at 10 min, delayed image at 3 h",
         "simulated for the same tracer and times" if choices.simulated else "that of the data"),
        ("Network of the lesion reading", "pix2pix with perceptual loss; weights " + UNKNOWN,
         f"{NETWORK}, without the perceptual loss: its encoder learns from target images, and would have seen tested "
         "patients in a cross-fit. With the loss it stands in the comparison of networks (2D-PerceptualPix2Pix)"),
        ("Training", GAP, _training(choices)),
        ("Patients apart", "split " + UNKNOWN, f"{s.folds} folds by patient; every image from a translator that never "
         f"saw its patient; {_copies(about)}"),
        ("Reading", "lesion-based, in areas matching hyperemia; by whom and by which rule: " + GAP,
         "an automatic rule on uptake ratios at known places in areas matching hyperemia (by the rule or a table of "
         "the data), stated on its page; all lesions stand in columns of their own; no physician"),
        ("Lesion counts", UNKNOWN, "in the table, with intervals"),
        ("False positives", GAP, "an image, beside every sensitivity"),
        ("Osteomyelitis and cellulitis", "about 44 %, given together", "each apart"),
    ]  # fmt: skip
    if choices.simulated:
        rows.append(
            ("Relation of hyperemia and late uptake", "that of the patients; not known",
             "set by us: a correlation rho, swept; no published sensitivity was an input to the simulator")
        )  # fmt: skip
    return [
        *rows,
        ("Radiomic features", "not part of the study", f"{_engine(facts)}; of the body seen in the blood pool"),
        ("Reader study", "the published reading", f"prepared for {s.readers} readers, {s.read} cases; nobody has read"),
    ]


def _networks(run: Sequence[str]) -> str:
    """Networks that were compared, in words."""
    known = [name for name in STUDY if name not in _CHOSEN]
    there, chosen = [name for name in known if name in run], [name for name in _CHOSEN if name in run]
    told = ["those eight" if len(there) == len(known) else f"of those eight {', '.join(there) or 'none'}"]
    if chosen:
        others = "the others" if len(chosen) > 1 else "one of the others"
        told.append(f"{' and '.join(chosen)} stand{'s' if len(chosen) == 1 else ''} for {others} (our choice)")
    more = len([name for name in run if name not in STUDY])
    return "; ".join([*told, f"{more} more beyond the study" if more else "none beyond the study"])


def _engine(facts: Mapping[str, Any]) -> str:
    """The features that were computed, in words."""
    if "engine" not in facts:
        return "the features named in the table"
    told = f"{facts['features']} features: {facts['engine']}"
    if facts["features"] >= _OF_MIRP:
        return f"{told}; the 186 without the area under the intensity-volume histogram, which MIRP does not make"
    return f"{told}; not the first study's 186, of which MIRP makes {_OF_MIRP}"


def _always(choices: Choices) -> list[Row]:
    rows = [
        ("Intervals and tests", "mean ± SD, where given", "95% intervals, paired tests with Holm's correction, ranks"),
        ("Failure atlas", "not part of the study", "worst patients, lesions, uncertainty and likeness against error"),
    ]
    if choices.quick:
        rows.append(
            ("Size of this run", "a study", "--quick: shows that everything runs, on few patients and little training")
        )
    return rows


def _copies(about: Mapping[str, Any]) -> str:
    if about["simulated"]:
        return "copies are looked for by hashes, near-copies are not: simulated patients are more alike than real ones"
    return "copies are looked for by hashes, near-copies by likeness"


def _registration(choices: Choices, about: Mapping[str, Any]) -> str:
    if choices.simulated:
        return "none: simulated pairs lie in one frame"
    told = (about.get("settings") or {}).get("registration")
    whose = "the folder was prepared before" if about.get("command") is None else "in preparation"
    return f"{whose}; {f'by the method {told}' if told else 'how is not told in its cases.json'}"


def _learnt_from(facts: Mapping[str, Any]) -> str:
    counts = facts.get("classified_features")
    if counts is None:
        return "on features by PyRadiomics, or on the images (resnet10)"
    if not counts:
        return "on the images alone"
    told = " and ".join(str(count) for count in counts)
    return f"on {told} features of each image by PyRadiomics (no morphology), or on the images (resnet10)"


def _training(choices: Choices) -> str:
    s = choices.sizes
    budget = f"the preset {s.preset!r} for all networks (a budget in seconds, and smaller networks where it says so)"
    return f"{budget}; each translator {s.translator_seconds:g} seconds"


def _label(choices: Choices) -> str:
    return "a lesion of high grade in the simulator" if choices.simulated else "the fact 'label' of the data"
