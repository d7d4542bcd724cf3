"""What a training run is made of: one JSON file, checked key by key, unknown keys refused.

The part under `image` is copied word for word into the model package's `network_data_format`, so that training and
inference cannot disagree on grid, orientation or intensities.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from imagetranslation import intensity
from imagetranslation.errors import InputError, ModelRefused

from . import objectives
from .training.settings import (
    Augmentation,
    Length,
    Optimiser,
    Precision,
    Reporting,
    Sampling,
    Size,
    Strict,
    Validation,
)

# How a setting's origin begins: the study that is reproduced, another publication, or nobody but us.
ORIGINS = ("study: ", "paper: ", "our choice")
_NOTHING = object()


class Network(Strict):
    """A registered network and its arguments."""

    name: str
    arguments: dict[str, int | float | str | bool | tuple[float, ...] | None] = Field(default_factory=dict)


class Resampling(Strict):
    """See `imagetranslation.grid`."""

    mode: Literal["fit", "spacing", "none"] = "fit"
    spacing: tuple[Length, Length, Length] | None = None

    @model_validator(mode="after")
    def _spacing_when_needed(self) -> Resampling:
        if (self.mode == "spacing") != (self.spacing is not None):
            raise ValueError("spacing is given exactly with the mode 'spacing'")
        return self


class Source(Strict):
    """The network's input image.

    spatial_dims 2: slices, with `context_slices` neighbours on either side as further channels (2.5-D); 3: volumes.
    """

    modality: str = "US"
    spatial_dims: Literal[2, 3] = 2
    patch_size: tuple[Size, ...] = (64, 64)
    context_slices: int = Field(default=0, ge=0, le=16)
    orientation: str = "unknown"
    slice_axis: Literal["k", "j", "i"] = "k"
    resampling: Resampling = Resampling()
    normalisation: dict[str, Any] = {"name": "percentile", "lower": 0.5, "upper": 99.5}
    field_of_view: Literal["ultrasound-fan", "whole"] = "ultrasound-fan"

    @field_validator("orientation")
    @classmethod
    def _orientation_is_one(cls, value: str) -> str:
        axes = sorted("LR" if c in "LR" else "AP" if c in "AP" else "IS" if c in "IS" else c for c in value)
        if value != "unknown" and axes != ["AP", "IS", "LR"]:
            raise ValueError(f"{value!r} is no orientation; give 'unknown' or three letters such as 'LPS'")
        return value

    @model_validator(mode="after")
    def _patch_fits(self) -> Source:
        if len(self.patch_size) != self.spatial_dims:
            raise ValueError(f"patch_size must have {self.spatial_dims} numbers")
        if self.context_slices and self.spatial_dims != 2:
            raise ValueError("context_slices are for networks that see slices (spatial_dims 2)")
        return self

    @property
    def channels(self) -> int:
        """What the network is given for each voxel: the slice and its neighbours."""
        return 2 * self.context_slices + 1


class Target(Strict):
    """The image to be made: how the reference is normalised per volume, and the range of the result."""

    modality: str = "MR"
    normalisation: dict[str, Any] = {"name": "zscore", "width": 2.5}
    value_range: tuple[float, float] = (0.0, 255.0)

    @model_validator(mode="after")
    def _range_rises(self) -> Target:
        if not self.value_range[0] < self.value_range[1]:
            raise ValueError("value_range must rise")
        return self


Width = Annotated[int, Field(ge=0, le=16)]


class AllowedChanges(Strict):
    """What may be done to a scan without changing its anatomy; see `imagetranslation.uncertainty.augmentations`.

    shift_voxels: greatest shift along slice, row and column of the network's grid. gain, gamma: half-widths of the
    logarithm. flip: "left-right" where mirroring is allowed, which needs a known orientation.
    """

    shift_voxels: tuple[Width, Width, Width] = (1, 1, 1)
    gain: float = Field(default=0.05, ge=0, le=1)
    gamma: float = Field(default=0.1, ge=0, le=1)
    flip: Literal["left-right"] | None = None


class Uncertainty(Strict):
    """How the package's uncertainty is found when nobody says otherwise, and from how many samples."""

    default: Literal["tta", "ensemble", "dropout"] = "tta"
    samples: int = Field(default=8, ge=2, le=64)
    augmentations: AllowedChanges = AllowedChanges()


class Card(Strict):
    """What the model's card and `model.json` say in words; numbers are added when the package is written.

    id, title: the package's, where they shall say more than the configuration's.
    """

    id: str = ""
    title: str = ""
    description: str
    authors: str
    licence: str
    data: str
    data_licence: str
    intended_use: str
    design: tuple[str, ...] = ()
    tuning: str
    limits: tuple[str, ...] = ()
    citation: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


class Config(Strict):
    """A complete training run.

    objective: its `name` and options, see `training_tools.objectives`. origins: dotted key of a setting (or of a group
    of settings) to where it comes from, see `ORIGINS`.
    """

    id: str
    version: str = "1.0.0"
    title: str
    task: str
    network: Network
    objective: dict[str, Any]
    source: Source = Source()
    target: Target = Target()
    sampling: Sampling = Sampling()
    augmentation: Augmentation = Augmentation()
    optimiser: Optimiser = Optimiser()
    precision: Precision = Precision()
    validation: Validation = Validation()
    reporting: Reporting = Reporting()
    steps: int = Field(ge=1)
    batch_size: int = Field(default=16, ge=1, description="samples of a step, over all devices and parts")
    average: float = Field(default=0.99, ge=0, lt=1, description="decay of the moving average of the weights")
    checkpoint_every: int = Field(default=100, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    threads: int = Field(default=1, ge=1, description="torch threads; the result depends on it in the last digits")
    held_out: tuple[str, ...] = ()
    folds: int = Field(default=6, ge=2, description="of the cross-validation")
    uncertainty: Uncertainty = Uncertainty()
    origins: dict[str, str] = Field(default_factory=dict)
    card: Card | None = None

    @field_validator("objective")
    @classmethod
    def _objective_is_known(cls, value: dict[str, Any]) -> dict[str, Any]:
        """The name and all options, those not given too."""
        options = dict(value)
        name = options.pop("name", None)
        try:
            chosen = objectives.find(str(name)).Options
        except InputError as error:
            raise ValueError(str(error)) from error
        return {"name": name, **chosen(**options).model_dump(mode="json")}

    @model_validator(mode="after")
    def _parts_fit(self) -> Config:
        dims, arguments = self.source.spatial_dims, self.network.arguments
        if self.sampling.samples == "positioned-slices" and dims != 3:
            raise ValueError("positioned-slices are for networks that see whole volumes (source.spatial_dims 3)")
        if (told := arguments.get("spatial_dims", dims)) != dims:
            raise ValueError(f"network.arguments.spatial_dims is {told}, source.spatial_dims {dims}; they must agree")
        if (told := arguments.get("in_channels", 1)) != self.source.channels:
            raise ValueError(
                f"network.arguments.in_channels is {told}, but with source.context_slices "
                f"{self.source.context_slices} the network is given {self.source.channels}"
            )
        members = arguments.get("members", 1)
        if isinstance(members, int) and members * self.optimiser.accumulate > self.batch_size:
            raise ValueError(f"a batch_size of {self.batch_size} cannot be shared by {members} members of a committee")
        if self.batch_size % self.optimiser.accumulate:
            raise ValueError("batch_size must be a multiple of optimiser.accumulate")
        if self.augmentation.mirror == "slices" and (dims != 3 or self.sampling.samples != "windows"):
            raise ValueError("augmentation.mirror 'slices' is for samples that are volumes")
        if self.sampling.unpaired and self.augmentation.mixup:
            raise ValueError("augmentation.mixup blends pairs; with sampling.unpaired it must be 0")
        if self.sampling.region == "organ" and (self.augmentation.mixup or self.objective.get("lesion")):
            what = (
                "augmentation.mixup would blend two organs" if self.augmentation.mixup else "objective.lesion has none"
            )
            raise ValueError(f"{what} with sampling.region 'organ'; it must be 0")
        name = self.objective["name"]
        if self.sampling.unpaired and not objectives.find(name).unpaired:
            raise ValueError(f"the objective {name!r} learns from pairs; sampling.unpaired must be off")
        return self

    @model_validator(mode="after")
    def _origins_are_told(self) -> Config:
        known = self.model_dump(mode="json")
        for key, origin in self.origins.items():
            place: Any = known
            for part in key.split("."):
                place = place.get(part, _NOTHING) if isinstance(place, dict) else _NOTHING
            if place is _NOTHING:
                raise ValueError(f"origins names {key!r}, which is no setting")
            if not origin.startswith(ORIGINS):
                raise ValueError(f"the origin of {key} must begin with one of {', '.join(map(repr, ORIGINS))}")
        return self

    @model_validator(mode="after")
    def _normalisations_exist(self) -> Config:
        for spec in (self.source.normalisation, self.target.normalisation):
            try:
                intensity.from_dict(spec)
            except ModelRefused as error:
                raise ValueError(str(error)) from error
        return self

    def digest(self) -> str:
        """Hex SHA-256 of everything that decides about the weights: all but the words of card and origins."""
        content = self.model_dump(mode="json", exclude={"card", "origins"})
        if content["sampling"]["region"] == "lesion":  # as before there was a choice
            del content["sampling"]["region"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def published(self) -> dict[str, Any]:
        """The configuration as a package tells it: without the card, whose words it has elsewhere, and of an encoder's
        path the folder's name alone, because the rest is of one person's disk."""
        told = self.model_dump(mode="json", exclude={"card"})
        if encoder := told["objective"].get("encoder"):
            told["objective"]["encoder"] = Path(encoder).name
        return told

    def inputs(self) -> dict[str, Any]:
        """`network_data_format.inputs.image` of the package."""
        return {"num_channels": self.source.channels, **self.source.model_dump(mode="json", exclude={"context_slices"})}

    def inference_settings(self) -> dict[str, Any]:
        """`inference` of the package, as far as the configuration alone says it."""
        settings = {"overlap": 0.25, "blending": "gaussian", "whole_slice": True}
        reach = self.source.context_slices
        return {**settings, "context_slices": reach} if reach else settings

    def outputs(self) -> dict[str, Any]:
        """`network_data_format.outputs.image` of the package."""
        lower, upper = self.target.value_range
        return {
            "modality": self.target.modality,
            "num_channels": 1,
            "value_range": [lower, upper],
            "background": lower,
            "window": [lower, upper],
        }


def stored_config(told: Any) -> Config:
    """A configuration that an earlier version may have written: settings that came later are at their defaults.

    ValueError where today's rules refuse it.
    """
    return Config.model_validate(told)


def read_config(path: str | Path) -> Config:
    """Read and check a configuration; InputError with one sentence naming the first fault."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The configuration {path} cannot be read: {error}.") from error
    try:
        return Config.model_validate(json.loads(text))
    except json.JSONDecodeError as error:
        raise InputError(f"The configuration {path} is not JSON: {error}.") from error
    except ValidationError as error:
        raise InputError(f"The configuration {path} is refused: {_fault(error)}.") from error


def _fault(error: ValidationError) -> str:
    """Where the first fault is, and what it is."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg'].rstrip('.')}"
