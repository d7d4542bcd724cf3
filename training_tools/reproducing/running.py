"""Running the steps of a study one after another: what is done is kept, what it will take is said beforehand.

One process at a time works in a study's folder. Ctrl-C and SIGTERM end the step under way where it can go on later;
what a step prints goes into `logs/<step>.txt`. A step that is made anew has its old folder moved aside, and what people
made is never touched: such a step is refused. Stamps are `stamps`'.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from imagetranslation.cohorts.lock import CohortLock
from imagetranslation.errors import Cancelled, InputError
from imagetranslation.files import as_sentence, make_folder, write_text

from ..console import terminated_as_interrupted
from . import stamps
from .stamps import DONE, LEFT_OUT, MISSING, OUTDATED, Stamp, Step

Tell = Callable[[str], None]
_GIB = 2**30
_TRUST = 0.1  # weight of the estimates, as a share of the whole


def run_steps(steps: Sequence[Step], study: Path, tell: Tell) -> dict[str, Stamp]:
    """Do every step that is not done; returns all stamps by name.

    Raises InputError for changed settings or files and for a step to be done anew in whose folder people have made
    something (before anything is done), Cancelled on Ctrl-C or SIGTERM, and what a step raises; finished steps stay
    finished.
    """
    make_folder(study)
    with CohortLock(study, "reproduce.lock"):
        waiting = _waiting(steps, study)
        tell(estimate(waiting, len(steps), study))
        found: dict[str, Stamp] = {}
        pace = Pace(waiting)
        for number, step in enumerate(steps, 1):
            made_from = {name: found[name].digest for name in step.needs}
            there = stamps.state(study, step, made_from)
            if there == DONE:
                found[step.name] = _kept(study, step)
                continue
            if there == OUTDATED:
                _move_aside(study, step, tell)
            if there == MISSING:
                # Killed below, the step is found without a stamp: half of it is not a finished one with changed files.
                with as_sentence(stamps.stamp_file(study, step.name)):
                    stamps.stamp_file(study, step.name).unlink(missing_ok=True)
            tell(f"Step {number} of {len(steps)}: {step.title}; about {minutes(pace.left())} left.")
            with _timed(study, step) as clock:
                left_out = _do(step, study, number, len(steps))
            pace.finished(step, clock.last)
            found[step.name] = stamps.write_stamp(study, step, made_from, left_out, clock.seconds, clock.runs)
            clock.forget()
            tell(f"  {'left out: ' + left_out if left_out else 'done in ' + minutes(clock.last)}")
        return found


def _waiting(steps: Sequence[Step], study: Path) -> list[Step]:
    """Steps to be done. Looks at all of them first, so that nothing is begun where something is to be refused."""
    waiting: list[Step] = []
    anew: set[str] = set()  # one that was left out is mostly left out again: what needs it stays as it is
    for step in steps:
        stale = anew & set(step.needs)
        made_from = {} if stale else {name: _digest(study, name) for name in step.needs}
        there = stamps.state(study, step, made_from)
        if there != DONE or stale:
            require_untouched(study, step)
            waiting.append(step)
            anew |= set() if there == LEFT_OUT else {step.name}
    return waiting


def require_untouched(study: Path, step: Step) -> None:
    """InputError where people have made something in the folder of a step that is to be done anew."""
    path = stamps.made_by_people(study, step)
    if path is not None:
        raise InputError(
            f"The step {step.name} would be done anew, but people have worked in it: {path} is there. Nothing was "
            f"touched. Move {study / step.folder} to a place of your own, where it stays a whole study to read and "
            "analyse, and start again; or make the new study in an empty folder with -o."
        )


def _digest(study: Path, name: str) -> str:
    stamp = stamps.read_stamp(study, name)
    return "" if stamp is None else stamp.digest


def _kept(study: Path, step: Step) -> Stamp:
    stamp = stamps.read_stamp(study, step.name)
    assert stamp is not None
    return stamp


def _move_aside(study: Path, step: Step, tell: Tell) -> None:
    """Take away what a step made from things that have been made anew: none of it may be taken for the new.

    The folder goes before the stamp: killed between the two, the step is known by files that are not there.
    """
    require_untouched(study, step)
    place = study / step.folder
    with as_sentence(place):
        if place.is_dir():
            aside = _free(place.with_name(f"{place.name}.outdated-{time.strftime('%Y%m%d-%H%M%S')}"))
            place.rename(aside)
            tell(f"  What {step.name} was made from is new; its old folder is now {aside.name}, to be removed by you.")
        stamps.stamp_file(study, step.name).unlink(missing_ok=True)


def _free(path: Path) -> Path:
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


class _Clock:
    """Seconds of all runs of a step that ended by themselves or were stopped, and how many runs were begun."""

    def __init__(self, study: Path, step: Step) -> None:
        self.path, self.last = make_folder(study / "logs") / f"{step.name}.runs.json", 0.0
        self.seconds, self.runs = 0.0, 1
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # times alone: a damaged file stops nobody
            there = json.loads(self.path.read_text(encoding="utf-8"))
            self.seconds, self.runs = float(there["seconds"]), int(there["runs"]) + 1

    def keep(self) -> None:
        """For the next run."""
        write_text(self.path, json.dumps({"seconds": self.seconds, "runs": self.runs}) + "\n")

    def forget(self) -> None:
        """The step is stamped."""
        self.path.unlink(missing_ok=True)


@contextlib.contextmanager
def _timed(study: Path, step: Step) -> Iterator[_Clock]:
    clock, began = _Clock(study, step), time.monotonic()
    clock.keep()
    try:
        yield clock
    finally:
        clock.last = time.monotonic() - began
        clock.seconds += clock.last
        clock.keep()


def _do(step: Step, study: Path, number: int, count: int) -> str:
    """Run a step with its words in a log; Cancelled where a person or the system asked to stop."""
    path = make_folder(study / "logs") / f"{step.name}.txt"
    with path.open("a", encoding="utf-8") as log, contextlib.redirect_stdout(log), terminated_as_interrupted():
        try:
            return step.work(study / step.folder)
        except (KeyboardInterrupt, Cancelled) as error:
            raise Cancelled(
                f"Stopped in step {number} of {count} ({step.title}); what is done is kept in {study}. Start the same "
                "command to go on."
            ) from error


class Pace:
    """The time that is left: the estimates, corrected by what the finished steps took."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._left = {step.name: step.seconds for step in steps}
        # Counts as if it had gone as estimated, so that one short step does not turn the forecast for hours.
        self._estimated = self._took = _TRUST * sum(self._left.values()) or 1.0

    def finished(self, step: Step, seconds: float) -> None:
        """A step took so long."""
        self._estimated += self._left.pop(step.name, 0.0)
        self._took += seconds

    def left(self) -> float:
        """Seconds for what remains."""
        return sum(self._left.values()) * self._took / self._estimated


def estimate(waiting: Sequence[Step], count: int, study: Path) -> str:
    """What the steps to be done will take, and whether the disk holds it."""
    if not waiting:
        return f"All {count} steps are done."
    needed, free = sum(step.bytes for step in waiting), shutil.disk_usage(study).free
    room = f"{needed / _GIB:.2f} GiB of disk ({free / _GIB:.0f} GiB are free)"
    short = "" if free > needed else " WARNING: that is not enough; free some space, or choose another disk with -o."
    return (
        f"{len(waiting)} of {count} steps are to be done: about {minutes(sum(s.seconds for s in waiting))} and {room}, "
        f"by figures from another machine. Stopped at any moment, the same command goes on.{short}"
    )


def minutes(seconds: float) -> str:
    """A time for a person."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def say(sentence: str) -> None:
    """On stderr."""
    print(sentence, file=sys.stderr, flush=True)
