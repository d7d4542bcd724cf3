"""The features of every image of a table of pairs, each once, in parallel; refusals are kept as such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ImageTranslationError, InputError, RunFailed
from ...volume import Volume, read_volume
from .. import parallel
from ..cache import Cache
from ..engine import Cancel, Engine, Progress, RoiResult
from ..extraction import extract
from ..resample import to_sitk
from ..roi import Grid, grid_difference
from ..segmentations import read_rois
from ..settings import INTERPOLATORS, Settings
from .definitions import PERTURBED, RELATIONS, SYNTHETIC_TARGET
from .longtable import Exclusion, LongTable
from .pairs import Pair
from .perturbation import Perturbation, perturbed


@dataclass(frozen=True)
class Task:
    """One image under some labels of one mask. labels: "" for a mask with one region."""

    image: str
    mask: str
    labels: tuple[str, ...]
    tissue: str
    perturbation: Perturbation | None
    settings: Settings
    engine: Engine
    resample: bool
    cache: str

    @property
    def key(self) -> tuple[Any, ...]:
        """Tasks with the same key are done together."""
        return self.image, self.mask, self.tissue, self.perturbation


@dataclass(frozen=True)
class Done:
    """What became of a task. results: label to features or the sentence why there are none. synthetic: of the image."""

    key: tuple[Any, ...]
    results: dict[str, RoiResult | str]
    synthetic: bool | None


@dataclass(frozen=True)
class Extracted:
    """table: all values. engine, missing, warnings: sentences and facts for the report."""

    table: LongTable
    engine: dict[str, str]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]


def extract_pairs(
    pairs: Sequence[Pair],
    settings: Settings,
    engine: Engine,
    *,
    perturbation: Perturbation | None = None,
    resample: bool = False,
    workers: int = 1,
    scheduler: str = "",
    cache: str | Path | None = None,
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
) -> Extracted:
    """Features of all images of `pairs`, without morphology, which depends on the region alone and is not compared.

    perturbation: for the ceiling, of every real target; None leaves that out. resample: an image on another grid than
    the mask's is put on it by the settings' interpolator; otherwise it is refused. workers: processes, each with whole
    images. Raises InputError where nothing at all could be used, Cancelled.
    """
    if resample and (settings.spacing is not None or settings.parameters is not None):
        raise InputError(
            "Images are resampled once: --resample puts them on the grid of their mask, so it goes with settings of "
            "ours without spacing, not with a PyRadiomics parameter file."
        )
    wanted: dict[tuple[Any, ...], Task] = {}
    kept = str(cache) if cache else ""
    for pair in pairs:
        for image, change in _images(pair, perturbation):
            task = Task(image, pair.mask, (pair.label,), pair.tissue, change, settings, engine, resample, kept)
            earlier = wanted.get(task.key, task)
            labels = tuple(dict.fromkeys((*earlier.labels, pair.label)))
            wanted[task.key] = replace(task, labels=labels)
    done = parallel.run(
        _work, list(wanted.values()), workers, scheduler=scheduler, progress=progress, cancelled=cancelled
    )
    return _collected(pairs, {each.key: each for each in done}, perturbation)


def _images(pair: Pair, perturbation: Perturbation | None) -> list[tuple[str, Perturbation | None]]:
    sides: list[tuple[str, Perturbation | None]] = [(pair.image(side), None) for side in "ab" if pair.image(side)]
    if perturbation is not None and pair.relation == SYNTHETIC_TARGET and pair.b_image:
        sides.append((pair.b_image, perturbation))
    return sides


def _work(task: Task) -> Done:
    results: dict[str, RoiResult | str] = {}
    try:
        image = read_volume(task.image)
        if task.resample:
            image = onto_grid(image, read_volume(task.mask), task.settings.interpolator)
        tissue = read_volume(task.tissue) if task.tissue else None
    except ImageTranslationError as error:
        return Done(task.key, dict.fromkeys(task.labels, str(error)), None)
    regions = {}
    for label in task.labels:
        try:
            (regions[label],) = read_rois(task.mask, image, label or None)
        except ImageTranslationError as error:
            asks = "Choose one with --label, or --label all."
            results[label] = str(error).replace(asks, "Name one in the column label.")
        except ValueError:
            results[label] = f"{Path(task.mask).name} holds several regions; name one in the column label."
    if regions:
        try:
            if task.perturbation is not None:
                image = perturbed(image, next(iter(regions.values())), task.perturbation)
            made = extract(image, list(regions.values()), task.settings, task.engine, tissue=tissue, shape=False,
                           cache=Cache(task.cache) if task.cache else None)  # fmt: skip
            results.update({label: each.refused or each for label, each in zip(regions, made)})
        except (InputError, RunFailed) as error:  # one patient's failure must not cost the others' hours of work
            results.update(dict.fromkeys(regions, str(error)))
    return Done(task.key, results, image.synthetic)


def onto_grid(image: Volume, like: Volume, interpolator: str) -> Volume:
    """The image on the grid of `like`, float64, NaN outside of it; unchanged where the grids are the same."""
    if not grid_difference(Grid.of(image), Grid.of(like)):
        return image
    from ...formats import quiet_sitk

    sitk = quiet_sitk()
    moved = sitk.Resample(
        to_sitk(image, image.array.astype(np.float64)), to_sitk(like), sitk.Transform(3, sitk.sitkIdentity),
        getattr(sitk, INTERPOLATORS[interpolator]), float("nan"), sitk.sitkFloat64,
    )  # fmt: skip
    note = f"Resampled to the grid of {like.name} by {interpolator}."
    return replace(like, array=sitk.GetArrayFromImage(moved), name=image.name, modality=image.modality,
                   field_of_view=None, notes=(*image.notes, note), attributes=image.attributes,
                   provenance=image.provenance)  # fmt: skip


def _collected(
    pairs: Sequence[Pair], done: dict[tuple[Any, ...], Done], perturbation: Perturbation | None
) -> Extracted:
    table = LongTable()
    facts: dict[str, str] = {}
    missing: dict[str, None] = {}
    warnings: dict[str, None] = {}
    unmarked: dict[str, None] = {}

    def take(relation: str, side: str, pair: Pair, change: Perturbation | None = None, image: str = "") -> None:
        case, file = (pair.patient, pair.roi), image or pair.image(side)
        if not file:
            table.excluded.append(Exclusion(relation, *case, side, "", "no image was named"))
            return
        each = done[(file, pair.mask, pair.tissue, change)]
        result = each.results[pair.label]
        if isinstance(result, str):
            table.excluded.append(Exclusion(relation, *case, side, "", result))
            return
        for feature in result.features:
            about = (feature.name, feature.ibsi, feature.family, feature.aggregation, feature.unit)
            table.features.setdefault(feature.engine_name, about)
        origin = (result.engine, result.engine_version, result.settings["sha256"], result.roi["sha256"],
                  str(result.roi["voxels"]))  # fmt: skip
        table.put(relation, side, case, result.values, origin)
        facts.update(name=result.engine, version=result.engine_version, feature_set=result.feature_set,
                     isolation=result.isolation)  # fmt: skip
        missing.update(dict.fromkeys(result.missing))
        if sentence := _mistaken(relation, side, each.synthetic, pair):
            warnings[sentence] = None
        if _kind(relation, side) == "synthetic" and each.synthetic is False:
            unmarked.setdefault(Path(file).name)

    for pair in pairs:
        take(pair.relation, "a", pair)
        take(pair.relation, "b", pair)
        if perturbation is not None and pair.relation == SYNTHETIC_TARGET and pair.b_image:
            take(PERTURBED, "a", pair, image=pair.b_image)
            take(PERTURBED, "b", pair, perturbation, image=pair.b_image)
    if not table.values:
        first = table.excluded[0]
        raise InputError(f"No region could be used; the first, of patient {first.patient}: {first.reason}")
    if unmarked:
        name = next(iter(unmarked))
        warnings[f"{len(unmarked)} images stand as synthetic and do not say that they are, among them {name}."] = None
    return Extracted(table, facts, tuple(missing), tuple(warnings))


def _mistaken(relation: str, side: str, synthetic: bool | None, pair: Pair) -> str:
    """A sentence where an image says of itself that it is the other kind than its column claims."""
    words = _kind(relation, side)
    if synthetic and words != "synthetic":
        return f"Patient {pair.patient}: {Path(pair.image(side)).name} stands as {words}, but is marked synthetic."
    return ""


def _kind(relation: str, side: str) -> str:
    """What the images of a column are in words."""
    known = RELATIONS[relation]
    return known.words[0 if side == known.reference else 1]
