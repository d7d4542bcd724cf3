"""What `imagetranslation study new` asks a coordinator, with defaults, each answer checked before the next question."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, TypeVar

import typer

from ..errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Choices:
    """What was given as options or answered; None where nothing was said."""

    template: Optional[str] = None
    cases: Optional[Path] = None
    readers: Optional[str] = None
    seed: Optional[int] = None
    title: Optional[str] = None
    display: Optional[str] = None
    sessions: Optional[int] = None
    washout: Optional[float] = None
    primary: Optional[dict[str, Any]] = None

    def changes(self) -> dict[str, Any]:
        """The entries of the template that these choices replace."""
        made: dict[str, Any] = {}
        if self.title:
            made["title"] = self.title
        if self.display:
            made["display"] = {"kind": self.display}
        sessions = {"count": self.sessions, "washout_days": self.washout}
        if chosen := {name: value for name, value in sessions.items() if value is not None}:
            made["sessions"] = chosen
        if self.primary:
            made["primary"] = self.primary
        return made


def ask(given: Choices) -> Choices:
    """Ask for everything that was not given as an option."""
    from ..readerstudy.creation import WASHOUT_DAYS, load_template, read_cases, templates, usual_sessions
    from ..readerstudy.definition import KINDS

    typer.echo("A reader study in a few questions; Enter takes what is in brackets. Nothing is written before the end.")
    names = list(templates())
    name = given.template or _asked("Template", names[0] if names else "", _one_of(names) if names else str)
    template = load_template(name)
    title = given.title or _asked("Title that readers see", str(template.get("title", "Reader study")), _line)
    typer.echo(
        "The list of cases is a CSV with the column 'case', perhaps 'patient', 'source', 'truth' (0/1) and 'training' "
        "(1), and one column of files for each arm: 'real' and each model."
    )
    cases = _asked("List of cases (CSV)", "cases.csv", lambda text: (read_cases(text), Path(text))[1])
    arms = read_cases(cases).arms
    typer.echo(f"Arms: {', '.join(arms)}.")
    usual = str(template.get("display", {}).get("kind", "single"))
    kinds = [kind for kind in KINDS if len(arms) > 1 or kind in ("single", "source_synthetic")]
    display = given.display or _asked(f"What is shown at once ({', '.join(kinds)})", usual, _one_of(kinds))
    readers = given.readers or _asked("Readers: how many, or their codes", "7", _line)
    wanted = usual_sessions({**template, "display": {"kind": display}, "arms": arms})
    usual_count = template.get("sessions", {}).get("count", wanted)
    sessions = given.sessions or _asked(
        "Sessions (one for each arm keeps them apart)", str(usual_count), _number(1, 12)
    )
    washout = given.washout
    if washout is None:
        days = str(template.get("sessions", {}).get("washout_days", WASHOUT_DAYS))
        washout = float(_asked("Days between sessions", days, _number(0, 3650))) if sessions > 1 else 0.0
    seed = given.seed
    if seed is None:
        text = _asked("Seed of the schedule (a number, or 'random')", "random", _seed)
        seed = None if text == "random" else int(text)
    made = replace(given, template=name, cases=cases, readers=readers, seed=seed, title=title, display=display)
    made = replace(made, sessions=sessions, washout=washout, primary=_primary(template))
    if not typer.confirm("Make the study?", default=True):
        raise InputError("Nothing was made.")
    return made


def _primary(template: dict[str, Any]) -> dict[str, Any]:
    """The primary endpoint: named now, because afterwards it would be chosen by its result."""
    asked = [question["id"] for question in template["questions"]]
    usual = template.get("primary", {"question": asked[0], "analysis": "difference", "hypothesis": "Arms differ."})
    typer.echo("The primary endpoint is named before the first answer; everything else is secondary or exploratory.")
    question = _asked(f"Primary endpoint ({', '.join(asked)})", str(usual["question"]), _one_of(asked))
    kinds = ["difference", "agreement", "detection", "preference", "mrmc", "distribution"]
    analysis = _asked(f"Its analysis ({', '.join(kinds)})", str(usual["analysis"]), _one_of(kinds))
    hypothesis = _asked("The hypothesis in one sentence", str(usual["hypothesis"]), _line)
    return {"question": question, "analysis": analysis, "hypothesis": hypothesis}


def _asked(text: str, default: str, check: Callable[[str], T]) -> T:
    """Ask until the answer passes; what was wrong is said in one sentence."""
    while True:
        answer = typer.prompt(text, default=default).strip()
        try:
            return check(answer)
        except InputError as error:
            typer.echo(f"  {error}")


def _one_of(names: list[str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in names:
            raise InputError(f"Choose one of {', '.join(names)}.")
        return text

    return check


def _number(low: int, high: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or not low <= int(text) <= high:
            raise InputError(f"A whole number from {low} to {high} is expected.")
        return int(text)

    return check


def _seed(text: str) -> str:
    if text != "random" and not re.fullmatch(r"[0-9]{1,18}", text):
        raise InputError("A whole number, or 'random'.")
    return text


def _line(text: str) -> str:
    if not text or len(text) > 300:
        raise InputError("One line is expected.")
    return text
