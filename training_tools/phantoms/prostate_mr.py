"""T2-weighted MR of layers of tissue: spin-echo signal, coil sensitivity, point spread, slice profile, Rician noise.

- Signal of a spin echo, S = PD (1 - exp(-TR/T1)) exp(-TE/T2) (TE << TR; Bernstein, King and Zhou, Handbook of MRI
  Pulse Sequences, 2004). A turbo spin echo is treated as a spin echo of its effective TE; its bright fat enters as
  a longer T2.
- In plane the image of a truncated, Hamming-weighted k-space: the kernel 0.54 sinc(u) + 0.23 (sinc(u - 1) + sinc(u
  + 1)) with u = distance / resolution. Across it a Gaussian slice profile whose full width at half maximum is the
  thickness.
- Phased-array sensitivity: a smooth factor, brighter towards the coils in front and behind (form and size are ours).
- Magnitude of the signal plus complex Gaussian noise: Rician (Gudbjartsson and Patz, Magn Reson Med 1995); in air
  its mean is sigma sqrt(pi / 2). Several coils combined would be non-central chi: left out. So are motion, chemical
  shift, ghosts.

Defaults: TR 5000 and TE 100 ms, 3 mm slices of 0.55 mm (PI-RADS v2.1 asks for 3 mm and at most 0.7 x 0.4 mm; TR/TE
5800/100 ms is a published 3 T protocol). TR, TE, noise and sensitivity vary between cases by our choice. Which tissue
is where is left to `prostate_anatomy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .prostate_shapes import Grid, Layer, paint
from .prostate_tissues import TISSUES, Tissue

WHITE = 1000.0  # signal of the peripheral zone in the written image is 0.4 of this; the rest is room for fat and fluid


@dataclass(frozen=True)
class Protocol:
    """tr, te: ms. resolution: mm in plane. thickness: mm. snr: signal of the peripheral zone over the noise's sigma.
    shading: largest relative change by the coils."""

    tr: float = 5000.0
    te: float = 100.0
    resolution: float = 0.55
    thickness: float = 3.0
    snr: float = 35.0
    shading: float = 0.25


def draw_protocol(random: np.random.Generator, base: Protocol) -> Protocol:
    """A scanner near `base`: TR within 20%, TE within 10%, noise within 30%, shading within 50% (ours)."""
    from dataclasses import replace

    return replace(
        base,
        tr=base.tr * float(random.uniform(0.8, 1.2)),
        te=base.te * float(random.uniform(0.9, 1.1)),
        snr=base.snr * float(random.uniform(0.7, 1.3)),
        shading=base.shading * float(random.uniform(0.5, 1.5)),
    )


def signal(tissue: Tissue, protocol: Protocol) -> float:
    """Spin-echo signal, relative to fully recovered water without decay."""
    return float(
        tissue.pd * (1 - np.exp(-protocol.tr / tissue.t1)) * np.exp(-protocol.te / tissue.t2),
    )


def t2_for(contrast: float, tissue: Tissue, protocol: Protocol) -> float:
    """The T2 (ms) that changes a tissue's signal by the relative `contrast` (> -1), its other properties kept."""
    return float(1 / (1 / tissue.t2 - np.log1p(contrast) / protocol.te))


def acquire(
    layers: Sequence[Layer],
    fine: Grid,
    grid: Grid,
    texture: np.ndarray,
    protocol: Protocol,
    random: np.random.Generator,
) -> np.ndarray:
    """uint16 (k, j, i) on `grid`, seen from layers on `fine`. texture: float32 on `fine`, mean 0, SD 1."""
    shown = [layer for layer in layers if layer.in_mr]
    map_ = paint(shown, fine.shape, lambda tissue: signal(tissue, protocol))
    map_ *= 1 + paint(shown, fine.shape, lambda tissue: tissue.mr_texture) * texture
    clean = resolve(map_, fine, grid, protocol) * sensitivity(grid, protocol, random)
    reference = signal(TISSUES["peripheral zone"], protocol)
    noisy = rician(clean, reference / protocol.snr, random)
    return np.clip(np.rint(noisy * (0.4 * WHITE / reference)), 0, 65535).astype(np.uint16)


def resolve(values: np.ndarray, fine: Grid, grid: Grid, protocol: Protocol) -> np.ndarray:
    """float64 (k, j, i): values on `fine` as the scanner resolves them on the voxels of `grid`; a constant stays."""
    kernels = [
        _kernel(fine, grid, 2, lambda gap: np.exp(-4 * np.log(2) * (gap / protocol.thickness) ** 2)),
        *(_kernel(fine, grid, axis, lambda gap: _hamming(gap / protocol.resolution)) for axis in (1, 0)),
    ]
    found = np.tensordot(kernels[0], values.astype(np.float64), (1, 0))
    found = np.matmul(kernels[1], found)
    return found @ kernels[2].T


def sensitivity(grid: Grid, protocol: Protocol, random: np.random.Generator) -> np.ndarray:
    """(k, j, i) smooth factor around 1: stronger towards front and back, tilted a little by chance."""
    x, y, z = (axis / 60.0 for axis in grid.mesh())
    tilt = random.normal(0, 0.25, 3)
    bowl = 0.7 * (y - 0.2) ** 2 - 0.4 * z**2 + tilt[0] * x + tilt[1] * y + tilt[2] * z
    return np.exp(protocol.shading * np.clip(bowl.astype(np.float64), -1, 1))


def rician(clean: np.ndarray, sigma: float, random: np.random.Generator) -> np.ndarray:
    """Magnitude after adding Gaussian noise of SD sigma to the real and the imaginary channel."""
    real = clean + random.normal(0, sigma, clean.shape) if sigma else clean
    return np.hypot(real, random.normal(0, sigma, clean.shape)) if sigma else np.abs(real)


def _hamming(u: np.ndarray) -> np.ndarray:
    """Point spread of a Hamming-weighted k-space, cut where it has died away."""
    spread = 0.54 * np.sinc(u) + 0.23 * (np.sinc(u - 1) + np.sinc(u + 1))
    return np.where(np.abs(u) < 6, spread, 0)


def _kernel(fine: Grid, grid: Grid, axis: int, spread: object) -> np.ndarray:
    """(voxels of grid, voxels of fine) weights along an axis, each row of sum 1; outside of `fine` its edge goes
    on."""
    gap = grid.axis(axis)[:, None] - fine.axis(axis)[None, :]
    outside = np.clip(grid.axis(axis), fine.axis(axis)[0], fine.axis(axis)[-1])[:, None] - fine.axis(axis)[None, :]
    gap = np.where(np.abs(gap).min(axis=1, keepdims=True) > fine.spacing[axis], outside, gap)
    weights = spread(gap)  # type: ignore[operator]
    return weights / weights.sum(axis=1, keepdims=True)
