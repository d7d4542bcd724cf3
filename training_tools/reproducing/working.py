"""The work of each step: the command that does it, with the arguments that the study's choices make of it.

Every function takes the choices and the step's folder and returns "", or a sentence that says why it cannot be done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imagetranslation.files import make_folder

from .. import benchmark as command
from ..crossfit import require_no_twins
from ..dataset import patients
from . import data, helping, possible, preserving, running, translating
from .choices import Choices


def cross_fit(choices: Choices) -> dict[str, Any]:
    """The settings of the translators."""
    s = choices.sizes
    digest = translating.configuration(choices.task, s.preset, s.seed).digest()
    return {
        "scheme": s.scheme, "folds": s.folds, "seconds": s.translator_seconds, "seed": s.seed, "config_sha256": digest,
    }  # fmt: skip


def prepare(choices: Choices, output: Path) -> str:
    """Find or simulate the data and prepare them."""
    told = data.make(choices.task, choices.data, choices.more, choices.sizes, choices.workers, output)
    cases, s = choices.cases(), choices.sizes
    possible.require(cases, choices.task, s, choices.positive)
    require_no_twins(cases, _alike(choices))
    if choices.task == "us2mri":
        found = possible.classifiable(cases, s, choices.positive)
        if found.reason:
            running.say(f"Classification will be left out: {found.reason}")
        for sentence in found.left:
            running.say(f"Classification: {sentence}")
    return told


def benchmark(choices: Choices, output: Path) -> str:
    """Train and compare all networks."""
    s = choices.sizes
    arguments = ["--task", choices.task, "--data", str(choices.cases()), "--preset", s.preset, "--seed", str(s.seed)]
    arguments += ["--threads", str(s.threads)]
    arguments += ["--seconds", str(s.seconds)] if s.seconds is not None else []
    alike = _alike(choices)
    arguments += ["--alike", str(alike)] if alike is not None else []
    arguments += ["--only", *s.only] if s.only else []
    arguments += ["--scheduler", choices.scheduler] if choices.scheduler else []
    command.main([*arguments, "-o", str(output)])
    return ""


def _alike(choices: Choices) -> float | None:
    """Simulated patients look more alike than real ones; see `training_tools.leaks`."""
    if choices.alike is not None:
        return choices.alike
    return 1.0 if data.read(choices.place("prepared"))["simulated"] else None


def translate(choices: Choices, output: Path) -> str:
    """Train the cross-fitted translators and make their images."""
    s, cases = choices.sizes, choices.cases()
    known = data.labels(cases)
    # Folds are stratified where patients can be classified at all; who has no label is spread over them.
    stratified = not possible.unclassifiable(known, s)
    table = data.write_labels(known, make_folder(output) / "labels.csv") if stratified else None
    translating.translate(
        translating.configuration(choices.task, s.preset, s.seed), cases, output, scheme=s.scheme, folds=s.folds,
        seconds=s.translator_seconds, seed=s.seed, labels=table, alike=_alike(choices),
    )  # fmt: skip
    return ""


def evaluate(choices: Choices, output: Path) -> str:
    """Score the cross-fitted images."""
    cases, made = choices.cases(), choices.place("translators")
    translating.evaluate(translating.read(made, cases), translating.config_of(made), cases, output)
    return ""


def _images(choices: Choices) -> dict[str, Path]:
    made = translating.read(choices.place("translators"), choices.cases()).image
    return {case: choices.place("evaluation") / translating.IMAGES / path.name for case, path in made.items()}


def preserve(choices: Choices, output: Path) -> str:
    """Features of the cross-fitted images."""
    s = choices.sizes
    return preserving.preserve(
        choices.cases(), _images(choices), output, draws=s.draws, seed=s.seed, workers=choices.workers,
        scheduler=choices.scheduler, features=s.features,
    )  # fmt: skip


def classify(choices: Choices, output: Path) -> str:
    """Classify patients on features and images."""
    made = choices.place("translators") / "crossfit"
    return helping.classification(choices.cases(), made, choices.sizes, choices.workers, choices.positive, output)


def lesions(choices: Choices, output: Path) -> str:
    """Read the lesions of the cross-fitted images."""
    cases, made = choices.cases(), choices.place("translators") / "crossfit"
    helping.require_no_leak(made, set(patients(cases).values()))
    return helping.read_lesions(choices.task, cases, choices.place("evaluation") / translating.IMAGES, output)


def sweep(choices: Choices, output: Path) -> str:
    """Sweep rho; see `helping.sweep`."""
    config = translating.configuration(choices.task, choices.sizes.preset, choices.sizes.seed)
    return helping.sweep(config, choices.sizes, choices.workers, output)


def atlas(choices: Choices, output: Path) -> str:
    """The failure atlas of the cross-fitted images."""
    places = {name: choices.place(name) for name in ("translators", "evaluation")}
    reading = choices.place("lesions") / helping.OUTCOME
    config = translating.config_of(places["translators"])
    return helping.atlas(choices.task, config, choices.cases(), places, reading if reading.is_dir() else None, output)


def study(choices: Choices, output: Path) -> str:
    """Prepare a reader study of real and cross-fitted images."""
    return helping.study(choices.task, choices.cases(), _images(choices), choices.sizes, output)
