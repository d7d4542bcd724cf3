"""Batches of training samples from stored cases: which patient, which place, changed how.

A batch is a function of the run's seed, the step, the part of the batch and the process: nothing about sampling has to
be kept in a checkpoint, and batches can be made beforehand in a thread. Every patient is equally likely, however many
cases are its own; then each of its cases is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any, Optional

import numpy as np
import torch

from imagetranslation.errors import InputError

from ..augmentation import augment, mix
from ..config import Config
from ..dataset import BOTH
from ..objectives.protocol import Batch, Shape
from ..pairs import SIDES
from .cache import REGION, SOURCE, TARGET, WEIGHT, Stored


def seeded(seed: int, *place: int | str) -> int:
    """A seed of its own for each place (purpose, step, process, part), the same in every repetition of a run."""
    text = "/".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def shape_of(config: Config) -> Shape:
    """What the networks see of a sample."""
    patch = config.source.patch_size
    if config.sampling.samples == "positioned-slices":
        return Shape(2, 1, tuple(patch[1:]))
    return Shape(config.source.spatial_dims, config.source.channels, tuple(patch))


def require_sides(
    sides: Sequence[str], names: Sequence[str], config: Config, patients: Sequence[str] | None = None
) -> None:
    """InputError where an objective that learns from pairs is given unpaired cases, one side is missing, or no other
    patient has a target. patients: of the cases; their own names by default.
    """
    if config.sampling.unpaired:
        _require_others(sides, list(names if patients is None else patients))
        return
    if alone := [name for name, side in zip(names, sides) if side != BOTH]:
        raise InputError(
            f"{config.objective['name']} learns from pairs here, but {len(alone)} cases to train on have an image of "
            f"one side only, among them {alone[0]}: take an objective that needs none, with sampling.unpaired."
        )


def _require_others(sides: Sequence[str], patients: list[str]) -> None:
    if len(set(patients)) < 2:
        raise InputError("Unpaired training takes targets from other patients: it needs at least two patients.")
    having = {side: {who for who, own in zip(patients, sides) if own in (BOTH, side)} for side in SIDES}
    for side in SIDES:
        if not having[side]:
            raise InputError(f"No {side} image is left to train on; unpaired training needs both sides.")
    if len(having["target"]) == 1 and having["target"] & having["source"]:
        raise InputError(
            "Unpaired training takes targets from other patients, but all targets to train on are one patient's, "
            f"{having['target'].pop()}, who has sources among them, too; add a patient, or leave these sources out."
        )


@dataclass(frozen=True)
class Process:
    """Which of how many processes of a run this is; each makes its own share of every batch."""

    rank: int = 0
    world: int = 1


class Sampler:
    """Makes batches; see the module. Raises InputError where cases and settings do not go together."""

    def __init__(self, cases: Sequence[Stored], config: Config, process: Process | None = None) -> None:
        self.cases, self.config, self.process = list(cases), config, process or Process()
        self.shape = shape_of(config)
        self.positioned = config.sampling.samples == "positioned-slices"
        self.parts = config.optimiser.accumulate
        self.count, rest = divmod(config.batch_size, self.parts * self.process.world)
        if rest or not self.count:
            raise InputError(
                f"A batch_size of {config.batch_size} cannot be shared evenly by {self.process.world} processes in "
                f"{self.parts} parts each; choose a multiple of {self.parts * self.process.world}."
            )
        owners = [case.owner for case in cases]
        require_sides([case.side for case in cases], [case.name for case in cases], config, owners)
        # Where all cases are pairs, both are the same.
        self._sources, self._targets = (
            _Patients([(n, case.owner) for n, case in enumerate(cases) if case.side in (BOTH, side)], owners)
            for side in SIDES
        )
        self._all_pairs = all(case.side == BOTH for case in cases)
        self.regions = any(len(case.arrays) > REGION for case in cases)
        if config.sampling.lesion and not any(len(case.lesion) for case in cases):
            raise InputError("sampling.lesion asks for samples on lesions, but no training case has a known lesion.")

    def batch(self, step: int, part: int = 0) -> Batch:
        """The batch of step `step` (from 0), as float32 tensors on the CPU."""
        random = torch.Generator().manual_seed(seeded(self.config.seed, "batch", step, part, self.process.rank))
        settings, channels = self.config.augmentation, self.shape.in_channels
        drawn = self._drawn(random)
        first = augment(self._cut(drawn, drawn.cases), settings, random, channels)
        if settings.mixup:
            other = augment(self._cut(drawn, drawn.others), settings, random, channels)
            first = mix(first, other, settings.mixup, random, channels)
        source, target, weight, region = _split(first, channels)
        of_organ = self.config.sampling.region == "organ"
        lesion, organ = (None, region) if of_organ else (region, None)
        positions = self._positions(drawn, random) if self.positioned else None
        progress = step / self.config.steps
        if not self.config.sampling.unpaired:
            return Batch(source, target, weight, lesion, positions, progress=progress, organ=organ)
        elsewhere = _Draw.of(self.count, self._sources.count, False, random)
        theirs = augment(self._cut(elsewhere, drawn.others), settings, random, channels)
        _, target, target_weight, _ = _split(theirs, channels)
        return Batch(source, target, weight, lesion, positions, False, target_weight, progress, organ)

    def _drawn(self, random: torch.Generator) -> _Draw:
        """Sources and, unpaired, targets of other patients; each side's patients are equally likely."""
        sources, targets = self._sources, self._targets
        if self._all_pairs:
            drawn = _Draw.of(self.count, sources.count, self.config.sampling.unpaired, random)
            patients, others = drawn.cases, drawn.others
        else:
            drawn = _Draw.of(self.count, sources.count, False, random)
            patients = torch.randint(sources.count, (self.count,), generator=random)
            others = torch.randint(targets.count, (self.count,), generator=random)
            same = targets.numbers[others] == sources.numbers[patients]
            others = torch.where(same, (others + 1) % targets.count, others)
        return replace(drawn, cases=sources.case_of(patients, random), others=targets.case_of(others, random))

    def batches(self, first: int) -> Generator[list[Batch]]:
        """The parts of every step's batch from step `first` on, without end, `ahead` of them made by a thread."""

        def make(step: int) -> list[Batch]:
            return [self.batch(step, part) for part in range(self.parts)]

        ahead = self.config.sampling.ahead
        with ThreadPoolExecutor(1, "batches") as pool:
            coming: list[Future[list[Batch]]] = [pool.submit(make, first + n) for n in range(ahead)]
            step = first
            try:
                while True:
                    if not ahead:
                        yield make(step)
                    else:
                        coming.append(pool.submit(make, step + ahead))
                        yield coming.pop(0).result()
                    step += 1
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _cut(self, drawn: _Draw, cases: torch.Tensor) -> torch.Tensor:
        """(n, channels + 2 or 3, *patch) of these cases at the drawn places."""
        made = []
        for n, number in enumerate(cases.tolist()):
            case = self.cases[number]
            corner = self._corner(case, float(drawn.kinds[n]), drawn.places[n].tolist())
            made.append(torch.from_numpy(window(case, corner, self.shape, self.regions)))
        return torch.stack(made)

    def _corner(self, case: Stored, kind: float, place: list[float]) -> tuple[int, ...]:
        """First voxel of a sample: anywhere with equal chance, or so that it holds a chosen voxel."""
        patch, sampling = _in_volume(self.shape), self.config.sampling
        room = [max(0, size - want) for size, want in zip(case.shape, patch)]
        for points, share in ((case.lesion, sampling.lesion), (case.foreground, sampling.foreground)):
            if kind < share:
                if not len(points):
                    break
                # One of the numbers says which voxel, the others where in the sample it lies.
                voxel = points[int(kind / share * len(points))]
                inside = [int(at * want) for at, want in zip(place, patch)]
                return tuple(min(max(0, int(v) - i), r) for v, i, r in zip(voxel, inside, room))
            kind -= share
        return tuple(min(int(at * (r + 1)), r) for at, r in zip(place, room))

    def _positions(self, drawn: _Draw, random: torch.Generator) -> torch.Tensor:
        """Of the slices along their volumes, in [-1, 1], moved a little."""
        middles = []
        for n, number in enumerate(drawn.cases.tolist()):
            case = self.cases[number]
            corner = self._corner(case, float(drawn.kinds[n]), drawn.places[n].tolist())
            middles.append((corner[0] + 0.5) / case.shape[0])
        jitter = (torch.rand(self.count, generator=random) * 2 - 1) * self.config.augmentation.shift
        return 2 * torch.tensor(middles, dtype=torch.float32) - 1 + jitter


class _Patients:
    """Those who have an image of a side, and their cases. numbers: of each among the patients of all cases."""

    def __init__(self, cases: Sequence[tuple[int, str]], everyone: Sequence[str]) -> None:
        by_patient: dict[str, list[int]] = {}
        for number, owner in cases:
            by_patient.setdefault(owner, []).append(number)
        order = {owner: number for number, owner in enumerate(dict.fromkeys(everyone))}
        self.count = len(by_patient)
        self.numbers = torch.tensor([order[owner] for owner in by_patient])
        self._cases = list(by_patient.values())

    def case_of(self, patients: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """A case of each of these patients. Draws nothing where all have one."""
        if all(len(own) == 1 for own in self._cases):
            return torch.tensor([own[0] for own in self._cases])[patients]
        shares = torch.rand(len(patients), generator=random).tolist()
        owned = [self._cases[patient] for patient in patients.tolist()]
        return torch.tensor([own[int(share * len(own))] for own, share in zip(owned, shares)])


@dataclass(frozen=True)
class _Draw:
    """What is drawn for n samples: cases, cases to mix or to take targets from, kinds and places in [0, 1)."""

    cases: torch.Tensor
    others: torch.Tensor
    kinds: torch.Tensor
    places: torch.Tensor

    @staticmethod
    def of(count: int, patients: int, different: bool, random: torch.Generator) -> _Draw:
        """With numbers of patients, whose cases are chosen later."""
        first, others = torch.randint(patients, (2, count), generator=random)
        if different:
            others = (first + 1 + others % (patients - 1)) % patients
        return _Draw(first, others, torch.rand(count, generator=random), torch.rand(count, 3, generator=random))


def window(case: Stored, corner: tuple[int, ...], shape: Shape, regions: bool) -> np.ndarray:
    """float32 (in_channels + 2 or 3, *patch): source (and neighbouring slices), target, weight; the region's mask if
    `regions`.

    Beyond the edge of the volume the source is repeated, as in inference, and the weight is 0.
    """
    patch, reach = _in_volume(shape), (shape.in_channels - 1) // 2
    where: Any = tuple(slice(c, min(c + p, size)) for c, p, size in zip(corner, patch, case.shape))
    around = [(0, p - (w.stop - w.start)) for p, w in zip(patch, where)]
    parts = [_grown(case.arrays[(SOURCE, *where)], around, "edge")]
    if reach:
        slices = np.clip(np.arange(corner[0] - reach, corner[0] + reach + 1), 0, case.shape[0] - 1)
        block = case.arrays[SOURCE, slices[0] : slices[-1] + 1, where[1], where[2]][slices - slices[0]]
        parts = [_grown(block[n : n + 1], around, "edge") for n in range(len(block))]
    parts.append(_grown(case.arrays[(TARGET, *where)], around, "edge"))
    parts.append(_grown(case.arrays[(WEIGHT, *where)], around, "constant"))
    if regions:
        known = len(case.arrays) > REGION
        parts.append(_grown(case.arrays[(REGION, *where)], around, "constant") if known else np.zeros_like(parts[-1]))
    stacked = np.stack(parts)
    return stacked[:, 0] if shape.spatial_dims == 2 else stacked


def moved(batch: Batch, device: torch.device, channels_last: bool) -> Batch:
    """The batch on a device, in the memory layout that the networks have."""
    layout = torch.preserve_format
    if channels_last:
        layout = torch.channels_last if batch.source.dim() == 4 else torch.channels_last_3d
    changed: dict[str, Any] = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, torch.Tensor):
            kept = torch.preserve_format if value.dim() < 4 else layout
            changed[field.name] = value.to(device, non_blocking=True, memory_format=kept)
    return replace(batch, **changed)


_Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor, Optional[torch.Tensor]]


def _split(stacked: torch.Tensor, channels: int) -> _Parts:
    """Source, target, weight and region of an augmented stack."""
    target, weight = stacked[:, channels : channels + 1], stacked[:, channels + 1 : channels + 2]
    region = stacked[:, channels + 2 :] if stacked.shape[1] > channels + 2 else None
    return stacked[:, :channels], target, weight, region


def _in_volume(shape: Shape) -> tuple[int, ...]:
    return (1,) * (3 - shape.spatial_dims) + shape.patch


def _grown(block: np.ndarray, around: list[tuple[int, int]], mode: str) -> np.ndarray:
    """The block in memory of its own, grown at its ends."""
    if not any(after for _, after in around):
        return np.array(block)
    return np.pad(block, around, mode=mode)  # type: ignore[call-overload,no-any-return]
