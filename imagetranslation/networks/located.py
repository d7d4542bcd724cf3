"""A generator that finds the organ first, translates in a frame where all organs lie alike, and moves the result back.

With few patients the average anatomy is the best guess, and it is blurred by where each patient's organ happens to
lie. A small three-dimensional network finds the organ in the source; its place and extent along each axis then say
how to move the volume into the standard frame. What comes back is averaged with the mean of the unmoved volumes,
because the organ may be found wrongly: half of an error is half an error, and two guesses are steadier than one.

Coordinates run over [-1, 1] along every axis, from the outer face of the first voxel to that of the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .pix2pix_small import PositionedGenerator, centres, mean_grid, pix2pix_small, sampled, towards

# What counts as the organ: probabilities sharpened by this factor, so that little is left of those below one half,
# and a trace of the average organ, which is what remains where nothing else was found.
SHARPENED, TRACE = 8.0, 1e-4

Moments = tuple[torch.Tensor, torch.Tensor]
# Target in [-1, 1], weight and organ in [0, 1] of one patient, each (D, H, W).
Anatomy = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class OrganLocator(nn.Module):
    """(batch, 1, D, H, W) in [-1, 1] -> logits of the organ, the same shape; at least 16 voxels along each axis.

    A U-Net of three resolutions, the finest at half the volume's: an organ's place needs no sharp outline. base:
    features at the finest. The voxel's position is three more channels, made here.
    """

    def __init__(self, base: int = 8) -> None:
        super().__init__()
        self.fine = _block(4, base)
        self.middle = _block(base, 2 * base)
        self.coarse = nn.Sequential(_block(2 * base, 4 * base), _block(4 * base, 4 * base))
        self.up_middle = _block(6 * base, 2 * base)
        self.up_fine = _block(3 * base, base)
        self.head = nn.Conv3d(base, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits; see the class."""
        size = x.shape[2:]
        places = torch.stack(_places(x)).unsqueeze(0).expand(len(x), -1, -1, -1, -1)
        fine = self.fine(functional.avg_pool3d(torch.cat([x, places], dim=1), 2))
        middle = self.middle(functional.avg_pool3d(fine, 2))
        coarse = self.coarse(functional.avg_pool3d(middle, 2))
        middle = self.up_middle(torch.cat([_resized(coarse, middle.shape[2:]), middle], dim=1))
        fine = self.up_fine(torch.cat([_resized(middle, fine.shape[2:]), fine], dim=1))
        return _resized(self.head(fine), size)


class LocatedGenerator(nn.Module):
    """(batch, 1, D, H, W) -> the same shape: `generator` at work in the standard frame that `locator` leads to.

    centre, spread: the training organs' average centre and standard deviation along each axis (depth, row, column);
    they define the standard frame. locate_trust: the share of a volume's departure from them that is believed (of the
    logarithm for the spread); the rest is the locator's error. mirrored: columns run left-right in the patient, so the
    organ is also looked for in the mirror image, and the two findings are averaged. share: of the moved image in the
    result; the rest is the mean of the unmoved training volumes, a fixed grid of `points` along each axis.

    Training calls `find` and `translate`; `start_from_organs` has to come before.
    """

    centre: torch.Tensor
    spread: torch.Tensor
    unmoved: torch.Tensor

    def __init__(
        self,
        locator: OrganLocator,
        generator: PositionedGenerator,
        points: int,
        locate_trust: float = 0.7,
        share: float = 0.5,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("locate_trust", locate_trust), ("share", share)):
            if not 0 < value <= 1:
                raise ValueError(f"{name} must lie in (0, 1], not {value}")
        self.locator, self.generator = locator, generator
        self.locate_trust, self.share, self.mirrored = locate_trust, share, mirrored
        self.register_buffer("centre", torch.zeros(3))
        self.register_buffer("spread", torch.ones(3))
        self.register_buffer("unmoved", torch.zeros(1, 1, points, points, points))

    @torch.no_grad()
    def start_from_organs(self, patients: Callable[[], Iterable[Anatomy]]) -> None:
        """Take the standard frame and both means from the training patients, asked for twice, one after another."""
        found, shape = [], None
        for target, _, organ in patients():
            found.append(moments(organ[None]))
            shape = target.shape
        if shape is None:
            raise ValueError("there is no patient to start from")
        self.centre.copy_(torch.cat([centre for centre, _ in found]).mean(dim=0))
        self.spread.copy_(torch.cat([spread for _, spread in found]).mean(dim=0))
        plain, moved_there = (torch.zeros(2, 1, 1, *shape) for _ in range(2))
        for (target, weight, _), own in zip(patients(), found):
            both = torch.stack([target * weight, weight])[:, None, None]
            plain += both
            moved_there += torch.stack([moved(part, own, self.standard(1)) for part in both])
        for into, (total, behind) in ((self.unmoved, plain), (self.generator.mean, moved_there)):
            average = (total / behind.clamp(min=1e-6))[0, 0]
            into.copy_(mean_grid(average, behind[0, 0], into.shape[-1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate volumes; see the class."""
        found, standard = self.locate(x), self.standard(len(x))
        made = moved(self.generator(moved(x, found, standard)), standard, found)
        plain = torch.tanh(sampled(self.unmoved, tuple(centres(size, x) for size in x.shape[2:])))
        return self.share * made + (1 - self.share) * plain.transpose(0, 1).unsqueeze(0)

    def find(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the organ; for training."""
        found: torch.Tensor = self.locator(x)
        return found

    def translate(self, x: torch.Tensor) -> torch.Tensor:
        """Volumes that are in the standard frame already; for training."""
        made: torch.Tensor = self.generator(x)
        return made

    def standard(self, batch: int) -> Moments:
        """Centre and spread (batch, 3) of the standard frame."""
        return self.centre.expand(batch, -1), self.spread.expand(batch, -1)

    def _average_organ(self, x: torch.Tensor) -> torch.Tensor:
        """(D, H, W): a Gaussian with the training organs' average moments, 1 at its top."""
        apart = [(places - m) / s for places, m, s in zip(_places(x), self.centre, self.spread)]
        return torch.exp(-(apart[0] ** 2 + apart[1] ** 2 + apart[2] ** 2) / 2)

    def locate(self, x: torch.Tensor) -> Moments:
        """Centre and spread (batch, 3) of the organ in each volume, drawn towards the averages."""
        logits = self.locator(x)
        if self.mirrored:
            logits = (logits + self.locator(x.flip(-1)).flip(-1)) / 2
        centre, spread = moments((SHARPENED * logits[:, 0]).sigmoid() + TRACE * self._average_organ(x))
        centre = self.centre + self.locate_trust * (centre - self.centre)
        return centre, self.spread * (spread / self.spread) ** self.locate_trust


def located(
    spatial_dims: int = 3,
    in_channels: int = 1,
    locator_base: int = 8,
    locate_trust: float = 0.7,
    share: float = 0.5,
    mirrored: bool = False,
    points: int = 12,
    **arguments: Any,
) -> LocatedGenerator:
    """The generator that finds the organ first; `arguments` are those of `pix2pix_small`, which translates."""
    if spatial_dims != 3 or in_channels != 1:
        raise ValueError("it takes whole volumes of one channel")
    generator = pix2pix_small(spatial_dims=3, in_channels=1, points=points, **arguments)
    assert isinstance(generator, PositionedGenerator)
    return LocatedGenerator(OrganLocator(locator_base), generator, points, locate_trust, share, mirrored)


def moments(probability: torch.Tensor) -> Moments:
    """Centre and standard deviation (batch, 3) along depth, rows and columns of (batch, D, H, W) weights >= 0."""
    share = probability / probability.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
    middles, spreads = [], []
    for axis in (1, 2, 3):
        along = share.sum(dim=tuple(other for other in (1, 2, 3) if other != axis))
        places = centres(along.shape[1], along)
        middle = (places * along).sum(dim=1)
        middles.append(middle)
        spreads.append(((places - middle[:, None]) ** 2 * along).sum(dim=1).clamp(min=1e-4).sqrt())
    return torch.stack(middles, dim=1), torch.stack(spreads, dim=1)


def moved(volume: torch.Tensor, origin: Moments, target: Moments) -> torch.Tensor:
    """(batch, channels, D, H, W), shifted and scaled along each axis, by matrices, which every engine can run.

    An organ with the moments `origin` gets the moments `target` ((batch, 3) each). Trilinear; what comes from outside
    repeats the border.
    """
    weights = []
    for axis, size in enumerate(volume.shape[2:]):
        (from_centre, from_spread), (to_centre, to_spread) = (
            [part[:, axis, None] for part in m] for m in (origin, target)
        )
        places = (centres(size, volume) - to_centre) / to_spread * from_spread + from_centre
        weights.append(towards(places, size)[:, None])  # (batch, 1, place, voxel)
    slices, rows, columns = weights
    batch, channels, depth, height, width = volume.shape
    made = slices @ volume.reshape(batch, channels, depth, height * width)
    made = made.reshape(batch, channels, depth, height, width)
    return rows[:, :, None] @ made @ columns[:, :, None].transpose(-1, -2)


def _block(before: int, after: int) -> nn.Sequential:
    convolution = nn.Conv3d(before, after, 3, padding=1)
    return nn.Sequential(convolution, nn.InstanceNorm3d(after, affine=True), nn.LeakyReLU(0.1))


def _resized(x: torch.Tensor, size: torch.Size) -> torch.Tensor:
    return functional.interpolate(x, size=size, mode="trilinear", align_corners=False)


def _places(like: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Each voxel's depth, row and column, (D, H, W) each, for a tensor that ends with these axes."""
    return torch.meshgrid(*(centres(size, like) for size in like.shape[-3:]), indexing="ij")
