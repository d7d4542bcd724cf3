"""A crude prostate of ellipsoids in ultrasound and MR: what the benchmarked networks are trained and measured on.

Simple on purpose and never changed: kept weights of the benchmarks were trained on it, and figures of different
days must stay comparable. The realistic simulator is `training_tools.phantoms.prostate`. The array axes run as in
the public pairs (i towards the probe, that is posterior; j to the right; k superior).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# T2 signal (arbitrary units) and echo strength of each tissue.
SURROUNDINGS, MUSCLE, PERIPHERAL, TRANSITION, LESION, BLADDER, RECTUM = range(7)
MR_SIGNAL = np.array([130.0, 60.0, 205.0, 120.0, 75.0, 250.0, 15.0])
ECHO = np.array([0.65, 0.35, 0.50, 0.32, 0.18, 0.01, 0.05])

PROBE_AT, PROBE_RADIUS, FAN_DEPTH, FAN_HALF_ANGLE = 36.0, 9.0, 68.0, np.radians(62.0)  # mm, radians
ATTENUATION = 0.012  # per mm, of the amplitude
DYNAMIC_RANGE = 50.0  # dB shown between black and white


@dataclass(frozen=True)
class Anatomy:
    """Invented organs, millimetres in the frame (posterior, right, superior) centred on the gland.

    gland, transition: semi-axes. transition_centre, lesion_centre, bladder_centre: positions. waves: (n, 3) wave
    vectors in rad/mm and phases: (n,) of the texture.
    """

    gland: np.ndarray
    transition: np.ndarray
    transition_centre: np.ndarray
    lesion_centre: np.ndarray
    lesion_radius: float
    bladder: np.ndarray
    bladder_centre: np.ndarray
    waves: np.ndarray
    phases: np.ndarray


def invent(random: np.random.Generator) -> Anatomy:
    """Draw an anatomy."""
    gland = np.array([15.0, 22.0, 19.0]) * random.uniform(0.85, 1.2, 3)
    side = random.choice([-1.0, 1.0])
    lesion = gland * np.array([random.uniform(0.45, 0.65), side * random.uniform(0.3, 0.6), random.uniform(-0.4, 0.4)])
    return Anatomy(
        gland=gland,
        transition=gland * random.uniform(0.6, 0.75),
        transition_centre=gland * np.array([-0.22, 0.0, 0.08]),
        lesion_centre=lesion,
        lesion_radius=float(random.uniform(3.5, 6.0)),
        bladder=np.array([20.0, 28.0, 18.0]) * random.uniform(0.8, 1.2, 3),
        bladder_centre=np.array([-10.0, 0.0, gland[2] + 14.0]),
        waves=random.normal(0.0, 0.35, (24, 3)),
        phases=random.uniform(0.0, 2 * np.pi, 24),
    )


def grid_points(size: tuple[int, int, int], spacing: tuple[float, float, float]) -> np.ndarray:
    """(k, j, i, 3) millimetres (posterior, right, superior) of the voxels of a grid centred on the gland."""
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(size, spacing)]
    superior, right, posterior = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return np.stack([posterior, right, superior], axis=-1)


def tissues(anatomy: Anatomy, points: np.ndarray) -> np.ndarray:
    """Tissue index at each point; later tissues cover earlier ones."""
    posterior, right, superior = points[..., 0], points[..., 1], points[..., 2]
    found = np.full(points.shape[:-1], SURROUNDINGS, dtype=np.uint8)
    found[(np.abs(right) > 34 + 0.2 * superior) | (posterior < -30)] = MUSCLE
    found[_ellipsoid(points, anatomy.bladder_centre, anatomy.bladder) < 1] = BLADDER
    inside = _ellipsoid(points, np.zeros(3), anatomy.gland)
    # The gland is flattened towards the rectum, where the probe presses.
    gland = (inside < 1) & (posterior < 0.8 * anatomy.gland[0])
    found[gland] = PERIPHERAL
    found[gland & (_ellipsoid(points, anatomy.transition_centre, anatomy.transition) < 1)] = TRANSITION
    found[gland & (np.linalg.norm(points - anatomy.lesion_centre, axis=-1) < anatomy.lesion_radius)] = LESION
    found[np.hypot(posterior - PROBE_AT, right) < PROBE_RADIUS] = RECTUM
    return found


def texture(anatomy: Anatomy, points: np.ndarray) -> np.ndarray:
    """A smooth field of mean 0 and SD about 1, shared by both modalities: a sum of plane waves."""
    total = np.zeros(points.shape[:-1])
    for wave, phase in zip(anatomy.waves, anatomy.phases):
        total += np.cos(points @ wave + phase)
    return total * np.sqrt(2.0 / len(anatomy.phases))


def ultrasound(tissue: np.ndarray, field: np.ndarray, points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """uint8 B-mode: echo strength times Rayleigh speckle and attenuation, log-compressed; 0 outside the fan."""
    from scipy.ndimage import gaussian_filter

    depth = np.hypot(points[..., 0] - PROBE_AT, points[..., 1]) - PROBE_RADIUS
    angle = np.arctan2(points[..., 1], PROBE_AT - points[..., 0])
    fan = (depth >= 0) & (depth <= FAN_DEPTH) & (np.abs(angle) <= FAN_HALF_ANGLE)
    echo = ECHO[tissue] * np.exp(0.25 * field)
    scatter = [gaussian_filter(random.normal(size=tissue.shape), (0.4, 0.7, 0.7)) for _ in range(2)]
    speckle = np.hypot(*scatter) / np.sqrt(np.mean(scatter[0] ** 2 + scatter[1] ** 2))
    amplitude = gaussian_filter(echo * np.exp(-ATTENUATION * np.clip(depth, 0, None)) * speckle, (0.3, 0.6, 0.6))
    decibels = 20 * np.log10(np.clip(amplitude, 1e-6, None))
    shown = np.clip((decibels + DYNAMIC_RANGE) / DYNAMIC_RANGE, 0, 1) * 254 + 1  # recorded but black is 1, outside 0
    return np.where(fan, shown, 0).astype(np.uint8)


def magnetic_resonance(tissue: np.ndarray, field: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """uint8 T2-weighted image: signal with texture, point spread, and Rician noise (two Gaussian channels)."""
    from scipy.ndimage import gaussian_filter

    signal = gaussian_filter(MR_SIGNAL[tissue] * (1 + 0.08 * field), (0.4, 0.7, 0.7))
    noisy = np.hypot(signal + random.normal(0, 4, tissue.shape), random.normal(0, 4, tissue.shape))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _ellipsoid(points: np.ndarray, centre: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return np.sqrt((((points - centre) / axes) ** 2).sum(axis=-1))
