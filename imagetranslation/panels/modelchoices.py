"""The models a person may choose from for a task, and the text of a model's card. No widget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelRefused
from ..models import ModelPackage, list_packages, load_package


@dataclass(frozen=True)
class Choice:
    """One model. id: what a job names it by (an id or a path). label: for the list. trouble: why it can't be used."""

    id: str
    label: str
    trouble: str = ""
    window: tuple[float, float] | None = None


MISSING_CHECKER = "jsonschema"
MISSING_SENTENCE = "Models can be listed once the missing packages are installed (see Installation below)."


def choices(task: str) -> list[Choice]:
    """Installed models of a task, by title; broken packages come last with their trouble.

    Of several packages with one id the first found counts, as when a job names it: a person's own hides a shipped one.
    """
    try:
        found = list_packages()
    except ModuleNotFoundError as error:
        if error.name != MISSING_CHECKER:
            raise
        return [Choice("", MISSING_SENTENCE, MISSING_SENTENCE)]
    packages = [p for p in found if isinstance(p, ModelPackage) and p.metadata["task"] == task]
    good = [_choice(p) for p in {p.id: p for p in reversed(packages)}.values()]
    broken = [Choice("", str(p), str(p)) for p in found if isinstance(p, ModelRefused)]
    return [*sorted(good, key=lambda choice: choice.label), *broken]


def is_installed(model: str) -> bool:
    """Whether a job can name this model: the id of an installed package, or the path of one."""
    ids = {package.id for package in list_packages() if isinstance(package, ModelPackage)}
    return model in ids or Path(model).exists()


def absence(model: str) -> str:
    """The sentence for a model that is not installed: which, and how to get it."""
    return (
        f"The model {model} is not installed: open the module's Installation section and download it, "
        "or choose a package there with Use a local file."
    )


def choice_of(path: str, task: str) -> Choice:
    """The choice for a package picked by hand (folder or zip); ModelRefused when it is none, or one of another task."""
    package = load_package(path)
    if package.metadata["task"] != task:
        raise ModelRefused(
            f"{package.id} is a model for {package.metadata['task']}, this module does {task}: choose another package."
        )
    return Choice(
        str(package.path), f"{package.metadata['title']} {package.version} (local file)", "", _window(package)
    )


def card_text(model: str) -> str:
    """Markdown for the card dialog: the facts of model.json first, then the package's own card."""
    package = load_package(model)
    facts = package.metadata
    rows = [
        ("Model", f"{package.id} {package.version}"),
        ("Trained on", str(facts["training"]["data"])),
        ("Licence", f"{facts['licence']}; training data: {facts['training']['licence']}"),
        ("Scores", _scores(facts["scores"])),
        ("Intended use", str(facts["intended_use"])),
        ("Cite", "; ".join(facts["citation"])),
        ("Weights", f"SHA-256 {package.weights_sha256}"),
    ]
    head = "\n\n".join(f"**{label}:** {text}" for label, text in rows if text)
    limits = "\n".join(f"- {limit}" for limit in facts["limits"])
    return f"# {facts['title']}\n\n{head}\n\n**Limits:**\n\n{limits}\n\n---\n\n{package.card()}"


def _choice(package: ModelPackage) -> Choice:
    return Choice(package.id, f"{package.metadata['title']} {package.version}", "", _window(package))


def _window(package: ModelPackage) -> tuple[float, float]:
    lower, upper = package.outputs["window"]
    return float(lower), float(upper)


def _scores(scores: dict[str, Any]) -> str:
    """Numbers one level deep; the card has them all with their meaning."""
    flat = {name: value for name, value in scores.items() if isinstance(value, (int, float))}
    return ", ".join(f"{name} {value:.3g}" for name, value in flat.items()) or "see the card below"
