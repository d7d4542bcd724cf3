"""The settings of the training loop: the parts of a configuration that are not about images, networks or losses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Size = Annotated[int, Field(ge=1)]
Length = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """Unknown keys, NaN and later changes are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Sampling(Strict):
    """What one training sample is, and how samples are drawn. Every patient is equally likely, whatever the size and
    number of its cases.

    samples: "windows" of the source's patch_size (slices, with their neighbours if `context_slices` is set, or
    volumes); "positioned-slices" for networks that see whole volumes and are trained on slices with their positions.
    unpaired: the target of a sample is another patient's. foreground, lesion: the share of samples that hold a random
    voxel of the field of view, or of a known lesion; the others are drawn evenly. ahead: batches that a thread makes
    beforehand. region: what is known of a sample beside its images: the lesions, or the organ's label on the source,
    which every case to train on must then have.
    """

    samples: Literal["windows", "positioned-slices"] = "windows"
    unpaired: bool = False
    foreground: Share = 0.0
    lesion: Share = 0.0
    ahead: int = Field(default=2, ge=0, le=64)
    region: Literal["lesion", "organ"] = "lesion"

    @model_validator(mode="after")
    def _shares_leave_room(self) -> Sampling:
        if self.foreground + self.lesion > 1:
            raise ValueError("foreground and lesion are shares of all samples; together they are at most 1")
        if self.region != "lesion" and self.lesion:
            raise ValueError("sampling.lesion asks for samples on lesions, but region is not the lesion")
        return self


class Augmentation(Strict):
    """Half-widths of uniform distributions. rotation: degrees, in the plane (2-D) or about each axis (3-D), of the
    network's grid: voxels count as cubes.

    shift: fraction of the image. scale, gamma, gain: of the logarithm. elastic: fraction of the image, on a coarse grid
    of 5 points along each axis. mirror: the model image's axis that runs left-right in the patient, flipped in every
    second sample, or null. mixup: share of samples blended with the same place of a patient drawn anew.
    """

    rotation: float = Field(default=5.0, ge=0)
    shift: float = Field(default=0.04, ge=0)
    scale: float = Field(default=0.1, ge=0)
    elastic: float = Field(default=0.0, ge=0)
    gamma: float = Field(default=0.3, ge=0)
    gain: float = Field(default=0.1, ge=0)
    mirror: Literal["slices", "rows", "columns"] | None = None
    mixup: Share = 0.0


class Optimiser(Strict):
    """How weights are moved. rate: of the optimiser called "generator"; discriminator_rate: of all others.

    The rate rises linearly over `warmup` steps; "constant" keeps it, "linear" lets it fall to zero from the share
    `decay_from` of the steps on, "cosine" lets it fall to zero along a cosine. clip: greatest norm of an optimiser's
    gradients, or null. accumulate: a batch is computed in so many parts, one after another, to need less memory;
    batch statistics are then those of a part, and all optimisers are stepped at the end. betas: of Adam and AdamW;
    RMSprop takes the second as its decay.
    """

    name: Literal["adam", "adamw", "rmsprop"] = "adamw"
    rate: float = Field(default=2e-3, gt=0)
    discriminator_rate: float = Field(default=2e-4, gt=0)
    betas: tuple[Decay, Decay] = (0.5, 0.999)
    weight_decay: float = Field(default=1e-3, ge=0)
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: int = Field(default=20, ge=0)
    decay_from: Share = 0.5
    clip: Length | None = None
    accumulate: Size = 1


class Precision(Strict):
    """What is computed in which number format. compute: "bf16-mixed" and "16-mixed" keep weights and losses in 32 bits.

    channels_last: the memory layout that convolutions are fastest in. compile: torch.compile of what every network does
    when it is called as a whole, not of the features that CUT and feature matching take from inside it; refused for the
    bridge, which calls its network in parts. Needs a C++ compiler. "16-mixed" with optimiser.accumulate is for
    objectives of one optimiser.
    """

    compute: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    channels_last: bool = True
    compile: bool = False


class Validation(Strict):
    """Early stopping on patients that are not trained on. cases: their names; share: or so many of the training cases.

    Every `every` steps the moving average is run over them as inference would, and `metric` (MAE, in the range of the
    result, or SSIM of Wang et al. 2004, both inside the mask, on the network's grid) is averaged over the patients. The
    best weights are the run's result. patience: after so many validations without a better one the run ends; null:
    it goes on to its last step.
    """

    cases: tuple[str, ...] = ()
    share: float = Field(default=0.0, ge=0, lt=1)
    every: int = Field(default=0, ge=0)
    metric: Literal["mae", "ssim"] = "mae"
    patience: Size | None = None

    @model_validator(mode="after")
    def _patients_when_needed(self) -> Validation:
        if bool(self.every) != bool(self.cases or self.share):
            raise ValueError("validation needs both `every` (steps) and patients (`cases` or `share`), or neither")
        if self.cases and self.share:
            raise ValueError("validation takes `cases` or `share`, not both")
        return self


class Reporting(Strict):
    """What a run shows. sheet_every: steps between sample sheets (source, target, synthetic), 0 for none.

    sheet_cases: rows of a sheet. tensorboard: write TensorBoard's log too.
    """

    sheet_every: int = Field(default=0, ge=0)
    sheet_cases: int = Field(default=4, ge=1, le=16)
    tensorboard: bool = False
