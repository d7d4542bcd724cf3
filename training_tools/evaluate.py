"""Every measure for every method on the same tested patients, beside floors and ceiling, with intervals and tests.

    python -m training_tools.evaluate --config CONFIG --data PREPARED --split splits.json --fold 0
        --method ours=PACKAGE --method theirs=FOLDER_OF_IMAGES -o OUT

A method is a model package, or a folder with one image a case (named as the case) on the source's grid in the output's
value range. The configuration says how targets are normalised and which range is the output's. Written: `scores.csv`
(case, patient, method, measure, value), `summary.csv`, `tests.csv`, `evaluation.json` with all settings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation import __version__
from imagetranslation.errors import InputError
from imagetranslation.files import make_folder, write_text
from imagetranslation.volume import read_volume

from . import dataset, evaluation, leaks
from .config import Config, read_config
from .console import run as run_command
from .dataset import BOTH, Case, LazyCases
from .evaluating import comparing, frechet, writing
from .evaluating.measures import defined, measure_image, scaled
from .exporting.evaluated import require_frame
from .pairs import SUFFIXES, volumes_in
from .splits import Split, read_split

TARGET = "real target"
RETEST = "real target, noise added"
REFERENCES = (*evaluation.FLOORS, RETEST, TARGET)  # beside the methods, not among them
# Of the added noise, as a share of the output's range: what a repeated scan might differ by. Our choice.
RETEST_NOISE = 0.02
NO_PAIR = "No tested case is a pair, so no translation can be held against its target"
# An image (k, j, i) of a case in the output's value range.
Method = Callable[[Case], np.ndarray]


@dataclass
class Evaluation:
    """scores: method to case to measure. frechet: method to distance, or why there is none. patients: of the cases."""

    scores: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    frechet: dict[str, float | str] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)

    def tables(self) -> list[comparing.Table]:
        """The comparison of the methods; floors and ceilings stand beside them."""
        if not self.scores:
            return []
        competing = [method for method in self.scores if method not in REFERENCES]
        return comparing.compare(self.scores, self.patients, competing=competing)


def evaluate(
    data: Path,
    config: Config,
    methods: Mapping[str, Method],
    train: Sequence[str],
    tested: Sequence[str],
    patients: Mapping[str, str],
    *,
    encoder: Any = None,
    floors: evaluation.Floors | None = None,
    told: Callable[[str], None] = lambda sentence: None,
) -> Evaluation:
    """Score methods, floors and ceilings on the tested cases, one case in memory at a time.

    floors: those of `train`, where they are at hand; fitted here otherwise. Of unpaired cases the distribution of the
    images alone is compared, which needs an encoder; without pairs among `train` the only floor is the identity.
    """
    if shared := {patients[case] for case in train} & {patients[case] for case in tested}:
        raise InputError(f"{sorted(shared)[0]} is both trained and tested on; draw the split by patient.")
    known = dataset.sides(data)
    learnt = [case for case in train if known.get(case, BOTH) == BOTH]
    cases = LazyCases(data, config, tested, unpaired=True)
    if encoder is None and not any(known.get(case, BOTH) == BOTH for case in tested):
        raise InputError(NO_PAIR + "; give --encoder for the distance between the distributions of images.")
    if floors is None and learnt:
        floors = evaluation.Floors(LazyCases(data, config, learnt), config)
    result = Evaluation(patients={case: patients[case] for case in tested})
    gathered: dict[str, list[np.ndarray]] = {}
    for number, case in enumerate(cases):
        for name, image in _images(case, methods, floors, config).items():
            if case.side == BOTH:
                result.scores.setdefault(name, {})[case.name] = defined(measure_image(image, case, config, encoder))
            if encoder is not None:
                shown = np.where(case.valid, image, config.target.value_range[0])
                gathered.setdefault(name, []).append(_features(encoder, shown, case, config))
        told(f"Scored {case.name} ({number + 1} of {len(cases)}).")
    for name, parts in gathered.items():
        if name != TARGET and TARGET in gathered:
            result.frechet[name] = _distance(parts, gathered[TARGET])
    return result


def _images(
    case: Case, methods: Mapping[str, Method], floors: evaluation.Floors | None, config: Config
) -> dict[str, np.ndarray]:
    """By method, floors and ceilings among them: all that can be made of the images that a case has."""
    if case.side == "target":
        return {TARGET: case.reference}
    images = {name: method(case) for name, method in methods.items()}
    if floors is not None:
        images.update(floors.images(case))
    else:
        images[evaluation.IDENTITY] = evaluation.identity(case, config)
    return {**images, **ceilings(case, config)} if case.side == BOTH else images


def ceilings(case: Case, config: Config) -> dict[str, np.ndarray]:
    """The target itself, and the target with a little noise: what a perfect method and a repeated scan would score."""
    lower, upper = config.target.value_range
    random = np.random.default_rng(list(case.name.encode()))
    noise = random.normal(0.0, RETEST_NOISE * (upper - lower), case.reference.shape).astype(np.float32)
    return {RETEST: np.clip(case.reference + noise, lower, upper), TARGET: case.reference}


def package_method(path: Path, train: Sequence[str], config: Config, device: str = "auto") -> Method:
    """A model package as a method.

    InputError where it says that cases that are tested here shaped its weights, and where it makes images of another
    normalisation or value range than the configuration's targets, which they are compared with.
    """
    from imagetranslation.inference import translate
    from imagetranslation.models import load_package

    package = load_package(path)
    what = f"The model {path.name}"
    leaks.require_within(what, leaks.seen_by(package.metadata, what), train)
    require_frame(config.model_dump(mode="json"), package, what)
    return lambda case: translate(case.source, package, device=device).array


def folder_method(folder: Path) -> Method:
    """A folder of images, one a case, as a method. InputError where it holds two of one name."""
    images = volumes_in(folder, (*SUFFIXES, ".dcm"))

    def image(case: Case) -> np.ndarray:
        path = images.get(case.name)
        if path is None:
            raise InputError(f"{folder} holds no image called {case.name}; one is needed.")
        volume = read_volume(path)
        if not volume.same_grid(case.source):
            raise InputError(f"{path} is not on the grid of the source of {case.name}.")
        return volume.array.astype(np.float32)

    return image


def _features(encoder: Any, image: np.ndarray, case: Case, config: Config) -> np.ndarray:
    used = [k for k in range(len(image)) if case.valid[k].any()]
    return frechet.features(encoder, scaled(image, config)[used])


def _distance(made: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> float | str:
    try:
        return frechet.frechet_distance(np.concatenate(made), np.concatenate(real))
    except frechet.Undefined as reason:
        return str(reason)


def _methods(options: argparse.Namespace, train: Sequence[str], config: Config) -> Iterator[tuple[str, Method]]:
    given: set[str] = set()
    for text in options.method:
        name, _, place = text.partition("=")
        path = Path(place)
        if not name or not place or not path.is_dir():
            raise InputError(f"--method {text}: give a name and a folder, as in ours=PACKAGE.")
        if name in REFERENCES:
            raise InputError(f"The name {name!r} is taken; choose another for the method.")
        if name in given:
            raise InputError(f"--method gives the name {name!r} twice; each method needs a name of its own.")
        given.add(name)
        yield name, package_method(path, train, config) if (path / "model.json").is_file() else folder_method(path)


def write(result: Evaluation, output: Path, settings: Mapping[str, Any]) -> list[comparing.Table]:
    """Write tables and settings; returns the comparison."""
    tables = result.tables()
    make_folder(output)
    writing.write_scores(result.scores, result.patients, output / "scores.csv")
    writing.write_rows(comparing.as_rows(tables), output / "summary.csv")
    writing.write_rows(
        [{"measure": t.measure, **writing.flat(test)} for t in tables for test in t.tests], output / "tests.csv"
    )
    record = {
        "settings": {**settings, "software": {"imagetranslation": __version__, "numpy": np.__version__}},
        "measures": writing.definitions(tables),
        "tables": [writing.as_dict(table) for table in tables],
        "frechet": result.frechet,
    }
    write_text(output / "evaluation.json", json.dumps(record, indent=2) + "\n")
    return tables


def settings_of(
    config: Config,
    split: Path,
    fold: int | None,
    tested: Sequence[str],
    encoder: Path | None,
    methods: Mapping[str, Path],
) -> dict[str, Any]:
    """What an evaluation was made with, for its record; weights: SHA-256 of each method that is a model package."""
    from imagetranslation.models import load_package

    packages = {name: path for name, path in methods.items() if (path / "model.json").is_file()}
    return {
        "config": config.model_dump(mode="json", exclude={"card"}), "split": str(split), "fold": fold,
        "tested": list(tested), "encoder": encoder and str(encoder), "retest_noise": RETEST_NOISE,
        "methods": {name: str(path) for name, path in methods.items()},
        "weights": {name: load_package(path).weights_sha256 for name, path in packages.items()},
    }  # fmt: skip


def sides(split: Split, fold: int | None) -> tuple[list[str], list[str]]:
    """Cases that models may have seen (training and validation) and tested cases."""
    train, validation, tested = split.train_and_test(fold)
    return [*train, *validation], tested


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    from . import encoder as encoders

    parser = argparse.ArgumentParser(prog="python -m training_tools.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="how targets are normalised; the output's range")
    parser.add_argument("--data", type=Path, required=True, help="folder written by training_tools.prepare")
    parser.add_argument("--split", type=Path, required=True, help="file written by training_tools.splits")
    parser.add_argument("--fold", type=int, help="of a cross-validation's split")
    parser.add_argument("--method", action="append", required=True, metavar="NAME=FOLDER", help="package or images")
    parser.add_argument("--encoder", type=Path, help="folder written by training_tools.encoder")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    config, split = read_config(options.config), read_split(options.split, options.data)
    leaks.check(options.data, split)
    train, tested = sides(split, options.fold)
    encoder = None if options.encoder is None else encoders.load(options.encoder, trained=train)
    patients = {case: subject.patient for case, subject in split.subjects.items()}
    result = evaluate(
        options.data, config, dict(_methods(options, train, config)), train, tested, patients, encoder=encoder,
        told=lambda sentence: print(sentence, file=sys.stderr),
    )  # fmt: skip
    methods = {name: Path(place) for name, _, place in (text.partition("=") for text in options.method)}
    settings = settings_of(config, options.split, options.fold, tested, options.encoder, methods)
    tables = write(result, options.output, settings)
    if not tables:
        print(f"{NO_PAIR}: only the distributions of images are compared.", file=sys.stderr)
        print(json.dumps({"frechet": result.frechet}))
    else:
        print(writing.as_text(tables))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
