"""What a training run is made of: one JSON file, checked key by key, unknown keys refused.

The part under `image` is copied word for word into the model package's `network_data_format`, so that training and
inference cannot disagree on grid, orientation or intensities.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imagetranslation import intensity
from imagetranslation.errors import InputError, ModelRefused

Size = Annotated[int, Field(ge=1)]
Length = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Network(_Strict):
    """A registered network and its arguments."""

    name: str
    arguments: dict[str, int | float | str | bool | None] = Field(default_factory=dict)


class Discriminator(_Strict):
    """PatchGAN: features of the first layer, number of strided layers."""

    base: int = Field(default=32, ge=1)
    layers: int = Field(default=2, ge=1)


class Resampling(_Strict):
    """See `imagetranslation.grid`."""

    mode: Literal["fit", "spacing", "none"] = "fit"
    spacing: tuple[Length, Length, Length] | None = None

    @model_validator(mode="after")
    def _spacing_when_needed(self) -> Resampling:
        if (self.mode == "spacing") != (self.spacing is not None):
            raise ValueError("spacing is given exactly with the mode 'spacing'")
        return self


class Source(_Strict):
    """The network's input image. spatial_dims 3: the network sees whole volumes and is trained on positioned slices."""

    modality: str = "US"
    spatial_dims: Literal[2, 3] = 2
    patch_size: tuple[Size, ...] = (64, 64)
    orientation: str = "unknown"
    slice_axis: Literal["k", "j", "i"] = "k"
    resampling: Resampling = Resampling()
    normalisation: dict[str, Any] = {"name": "percentile", "lower": 0.5, "upper": 99.5}
    field_of_view: Literal["ultrasound-fan", "whole"] = "ultrasound-fan"

    @model_validator(mode="after")
    def _patch_fits(self) -> Source:
        if len(self.patch_size) != self.spatial_dims:
            raise ValueError(f"patch_size must have {self.spatial_dims} numbers")
        return self


class Target(_Strict):
    """The image to be made: how the reference is normalised per volume, and the range of the result."""

    modality: str = "MR"
    normalisation: dict[str, Any] = {"name": "zscore", "width": 2.5}
    value_range: tuple[float, float] = (0.0, 255.0)

    @model_validator(mode="after")
    def _range_rises(self) -> Target:
        if not self.value_range[0] < self.value_range[1]:
            raise ValueError("value_range must rise")
        return self


class Augmentation(_Strict):
    """Half-widths of uniform distributions. rotation: degrees. shift: fraction of the image. scale, gamma, gain:

    of the logarithm. elastic: fraction of the image, on a coarse grid of 5 x 5 points. mirror: the model image's axis
    that runs left-right in the patient, flipped in every second sample, or null. mixup: share of samples blended with
    the same slice of another patient.
    """

    rotation: float = Field(default=5.0, ge=0)
    shift: float = Field(default=0.04, ge=0)
    scale: float = Field(default=0.1, ge=0)
    elastic: float = Field(default=0.0, ge=0)
    gamma: float = Field(default=0.3, ge=0)
    gain: float = Field(default=0.1, ge=0)
    mirror: Literal["rows", "columns"] | None = None
    mixup: float = Field(default=0.0, ge=0, le=1)


class Loss(_Strict):
    """Weights of the generator's terms; adversarial 0 trains without a discriminator."""

    l1: float = Field(default=1.0, ge=0)
    ssim: float = Field(default=0.0, ge=0)
    adversarial: float = Field(default=0.01, ge=0)


class Optimiser(_Strict):
    """AdamW for both networks; the rate rises linearly over `warmup` steps and falls to zero along a cosine."""

    rate: float = Field(default=2e-3, gt=0)
    discriminator_rate: float = Field(default=2e-4, gt=0)
    betas: tuple[Decay, Decay] = (0.5, 0.999)
    weight_decay: float = Field(default=1e-3, ge=0)
    warmup: int = Field(default=20, ge=0)


Width = Annotated[int, Field(ge=0, le=16)]


class AllowedChanges(_Strict):
    """What may be done to a scan without changing its anatomy; see `imagetranslation.uncertainty.augmentations`.

    shift_voxels: greatest shift along slice, row and column of the network's grid. gain, gamma: half-widths of the
    logarithm. flip: "left-right" where mirroring is allowed, which needs a known orientation.
    """

    shift_voxels: tuple[Width, Width, Width] = (1, 1, 1)
    gain: float = Field(default=0.05, ge=0, le=1)
    gamma: float = Field(default=0.1, ge=0, le=1)
    flip: Literal["left-right"] | None = None


class Uncertainty(_Strict):
    """How the package's uncertainty is found when nobody says otherwise, and from how many samples."""

    default: Literal["tta", "ensemble", "dropout"] = "tta"
    samples: int = Field(default=8, ge=2, le=64)
    augmentations: AllowedChanges = AllowedChanges()


class Card(_Strict):
    """What the model's card and `model.json` say in words; numbers are added when the package is written."""

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


class Config(_Strict):
    """A complete training run."""

    id: str
    version: str = "1.0.0"
    title: str
    task: str
    network: Network
    discriminator: Discriminator = Discriminator()
    source: Source = Source()
    target: Target = Target()
    augmentation: Augmentation = Augmentation()
    loss: Loss = Loss()
    optimiser: Optimiser = Optimiser()
    steps: int = Field(ge=1)
    batch_size: int = Field(default=16, ge=2)
    average: float = Field(default=0.99, ge=0, lt=1, description="decay of the moving average of the weights")
    checkpoint_every: int = Field(default=100, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    threads: int = Field(default=1, ge=1, description="torch threads; the result depends on it in the last digits")
    held_out: tuple[str, ...] = ()
    folds: int = Field(default=6, ge=2, description="of the cross-validation")
    uncertainty: Uncertainty = Uncertainty()
    card: Card | None = None

    @model_validator(mode="after")
    def _normalisations_exist(self) -> Config:
        for spec in (self.source.normalisation, self.target.normalisation):
            try:
                intensity.from_dict(spec)
            except ModelRefused as error:
                raise ValueError(str(error)) from error
        return self

    def inputs(self) -> dict[str, Any]:
        """`network_data_format.inputs.image` of the package."""
        return {"num_channels": 1, **self.source.model_dump(mode="json")}

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
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"The configuration {path} is refused: {where}: {first['msg']}.") from error
