"""Translations of every patient by translators that never saw that patient, for a fair test of what they are worth.

    python -m training_tools.crossfit --config CONFIG --data PREPARED --scheme nested --folds 5 --labels LABELS -o OUT

`nested` (for `training_tools.classify`'s headline): within each outer fold no translator has seen a tested patient, and
every patient's image, training or test, is made by one that did not see them. `simple` keeps the second rule alone and
trains K translators instead of K (J + 1). `--test-patients FILE` keeps patients for one last test: no translator sees
them. Stopped at any moment, even killed, and started again with the same command it goes on; finished translators are
kept. On a cluster: `--list` numbers the translators, `--only N` (or $SLURM_ARRAY_TASK_ID) makes one; the last one that
ends writes the record. Written: `OUT/crossfit.json` (sealed), `OUT/images.csv`, `OUT/images`, `OUT/translators`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from statistics import mean
from typing import Any

from imagetranslation.errors import InputError, RunFailed
from imagetranslation.files import make_folder

from . import leaks
from .benchmarking import costs
from .classifying.tables import read_labels, read_patients
from .classifying.telling import Teller
from .config import Config, read_config
from .console import run as run_command
from .crossfitting import gathering, making
from .crossfitting import plan as plans
from .crossfitting.making import Place
from .crossfitting.plan import Plan, Scheme
from .dataset import patients, require_pairs
from .splits import Split, subjects
from .training.cache import fingerprints

MEASURED = 1000  # steps of the run whose first ones are timed


def begin(
    config: Config,
    data: Path,
    output: Path,
    scheme: Scheme,
    *,
    labels: Mapping[str, Any] | None = None,
    everyone: bool = False,
    seconds: float | None = None,
    alike: float | None = None,
) -> Place:
    """The plan of a cross-fit, drawn and kept, or that of a run which is gone on with.

    seconds: of each training, instead of the configuration's steps (measured once and kept). alike: see `leaks`.
    everyone: whether patients without a label get images, too.
    Raises InputError for a folder of another cross-fit, data that changed, images of one patient under two names, and
    cases without a partner.
    """
    config = _own(config)
    require_pairs(data, "A cross-fit")
    owners = patients(data)
    cases: dict[str, list[str]] = defaultdict(list)
    for case, patient in sorted(owners.items()):
        cases[patient].append(case)
    prints = fingerprints(data, sorted(owners), config.sampling.region)
    if labels is not None and everyone:
        labels = {**dict.fromkeys(cases), **labels}
    tested, translators, notes = plans.draw(sorted(cases), labels, scheme)
    if (output / plans.NAME).exists():
        plan = plans.read(output)
        drawn = Plan(
            scheme, _digest(config, plan.steps), plan.steps if seconds is not None else config.steps,
            plan.seconds_a_step, plan.created, labels is not None, prints, tested, translators, notes, seconds, alike,
        )  # fmt: skip
        _require_same(plan, drawn, output)
    else:
        require_no_twins(data, alike)
        learnt = [case for who in translators[0].trained_on for case in cases[who]]
        a_step, _ = costs.seconds_a_step(config.model_copy(update={"steps": MEASURED}), data, learnt)
        steps = config.steps if seconds is None else costs.steps_for(seconds, a_step)
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        plan = Plan(
            scheme, _digest(config, steps), steps, a_step, created, labels is not None, prints, tested, translators,
            notes, seconds, alike,
        )  # fmt: skip
        plans.write(plan, make_folder(output))
    return Place(plan, config.model_copy(update={"steps": plan.steps}), data, output, dict(cases))


def _own(config: Config) -> Config:
    """The configuration without what belongs to another training: held-out names and the card's words."""
    if config.validation.cases:
        raise InputError(
            "The configuration names its validation cases; in a cross-fit every patient is translated, so set "
            "validation.share instead."
        )
    if "encoder" in config.objective:
        raise InputError(
            f"The objective {config.objective['name']!r} uses an encoder that was trained on some of the patients, "
            "which would leak; take an objective without one for a cross-fit."
        )
    return config.model_copy(update={"held_out": (), "card": None})


def _digest(config: Config, steps: int) -> str:
    return config.model_copy(update={"steps": steps}).digest()


def _require_same(stored: Plan, drawn: Plan, output: Path) -> None:
    if _budget(stored) != _budget(drawn):
        raise InputError(
            f"{output} holds a cross-fit of {_budget(stored)} a training, not {_budget(drawn)}; go on with that, or "
            "choose an empty folder."
        )
    if stored.alike != drawn.alike:
        raise InputError(
            f"{output} was begun with {_alike(stored)}, not with {_alike(drawn)}; go on with that, or choose an empty "
            "folder."
        )
    if changed := sorted(
        name for name in {*stored.prints, *drawn.prints} if stored.prints.get(name) != drawn.prints.get(name)
    ):
        raise InputError(
            f"The images of {len(changed)} cases differ from those {output} was begun with, among them {changed[0]}; "
            "bring the old data back, or choose an empty folder."
        )
    for key, what in (
        ("config_sha256", "configuration or version of the model"), ("scheme", "scheme"), ("tested", "labels"),
        ("translators", "labels"),
    ):  # fmt: skip
        if getattr(stored, key) != getattr(drawn, key):
            raise InputError(f"{output} holds a cross-fit with another {what}; choose an empty folder.")


def _budget(plan: Plan) -> str:
    return f"{plan.steps} steps" if plan.seconds is None else f"{plan.seconds:g} seconds"


def _alike(plan: Plan) -> str:
    return "no --alike" if plan.alike is None else f"--alike {plan.alike:g}"


def require_no_twins(data: Path, alike: float | None) -> None:
    """InputError for data in which two patients have one image; each patient is a side of their own."""
    known = subjects(data)
    sides: dict[str, list[str]] = defaultdict(list)
    for case, subject in known.items():
        sides[subject.patient].append(case)
    leaks.check(data, Split(tuple(map(tuple, sides.values())), {}, known, {}, {"alike": alike}))


def make_all(place: Place, numbers: Sequence[int], watts: float = costs.CPU_WATTS) -> None:
    """Make these translators one after another; says beforehand what it takes and, on the way, what is left."""
    translators = [place.plan.translators[number] for number in numbers]
    left = [t for t in translators if making.record_of(place, t) is None]
    each = place.plan.steps * place.plan.seconds_a_step
    found = costs.estimate([each] * len(left), 1, watts)
    images = sum(len(place.names(t.makes)) for t in left)
    _say(
        f"{len(left)} of {len(place.plan.translators)} translators are to be trained, {place.plan.steps} steps each: "
        f"about {each / 60:.1f} minutes each and {_duration(3600 * found['hours'])} in all "
        f"({found['kilowatt_hours']:.2f} kWh at {watts:g} W), and {images} images made, which comes on top."
    )
    took: list[float] = []
    tell = Teller()
    for done, translator in enumerate(left):
        remaining = (mean(took) if took else each) * (len(left) - done)
        _say(f"{translator.name}: {done + 1} of {len(left)}; about {_duration(remaining)} left.")
        began = time.monotonic()
        making.make(place, translator, tell)
        took.append(time.monotonic() - began)


def finish(place: Place) -> bool:
    """Write record and table if every translator is done; returns whether they are."""
    records = {t.name: making.record_of(place, t) for t in place.plan.translators}
    done = {name: record for name, record in records.items() if record is not None}
    if len(done) < len(records):
        return False
    gathering.gather(place, done)
    return True


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.crossfit", description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="JSON, see training_tools/configs")
    parser.add_argument("--data", type=Path, required=True, help="folder written by training_tools.prepare")
    parser.add_argument("--scheme", choices=plans.SCHEMES, default=plans.NESTED)
    parser.add_argument("--folds", type=int, default=5, help="outer folds")
    parser.add_argument("--inner", type=int, default=3, help="parts within each outer fold")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the division into folds")
    parser.add_argument("--labels", type=Path, help="CSV: patient, label; folds are stratified by it")
    parser.add_argument("--everyone", action="store_true", help="patients without a label get images, too")
    parser.add_argument("--test-patients", type=Path, help="CSV with the column patient, or a split with a test part")
    parser.add_argument("--seconds", type=float, help="of each training, instead of the configuration's steps")
    parser.add_argument("--alike", type=float, help="see training_tools.splits")
    parser.add_argument("--list", action="store_true", help="list the translators and end")
    parser.add_argument("--only", type=int, nargs="+", help="make these translators now")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.seconds is not None and not options.seconds > 0:
        raise InputError("--seconds must be above 0.")
    labels = read_labels(options.labels)[0] if options.labels else None
    test = read_patients(options.test_patients) if options.test_patients else ()
    scheme = Scheme(options.scheme, options.folds, options.inner, options.repeats, options.seed, test)
    place = begin(
        read_config(options.config), options.data, options.output, scheme, labels=labels, everyone=options.everyone,
        seconds=options.seconds, alike=options.alike,
    )  # fmt: skip
    for note in place.plan.notes:
        _say(note)
    if options.list:
        print("\n".join(f"{n}: {t.name}" for n, t in enumerate(place.plan.translators)))
        return 0
    numbers = _numbers(options.only, len(place.plan.translators))
    make_all(place, numbers)
    whole = finish(place)
    if not whole and len(numbers) == len(place.plan.translators):
        raise RunFailed(f"A translator in {options.output} was changed while others were made; start it again.")
    record = str(options.output / gathering.RECORD) if whole else None
    print(json.dumps({"translators": len(place.plan.translators), "made": len(numbers), "record": record}))
    return 0


def _numbers(only: Sequence[int] | None, count: int) -> list[int]:
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    chosen = [int(task)] if only is None and task is not None else only
    if wrong := [number for number in chosen or () if not 0 <= number < count]:
        raise InputError(f"There is no translator {wrong[0]}: the {count} translators count from 0.")
    return list(range(count)) if chosen is None else sorted(set(chosen))


if __name__ == "__main__":
    raise SystemExit(run_command(main))
