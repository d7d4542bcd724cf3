"""A gamma camera: what a low-energy high-resolution parallel-hole collimator makes of activity at set distances.

Resolution: R(x) = sqrt(Ri^2 + Rc(x)^2), Rc = D (Le + x + c) / Le with Le = L - 2 / mu_lead (Cecchin et al., PeerJ
article 722; after Anger). The hole size and length are those of a common commercial LEHR collimator; with the intrinsic
resolution chosen the model gives 7.4 mm at 10 cm, the typical value for LEHR (King's College London, gamma-camera
tutorial). Attenuation: narrow beam, 0.15 per cm in soft tissue at 140 keV (bone's 0.27 is left out). Scatter in the 20
% window: 30 to 60 % of the primary photons, rising linearly with depth and spreading with a mono-exponential line
spread (Kojima et al., Ann Nucl Med 1991; 5:139); slope and range are our choice within that. What is projected is
left to `bonescan_shapes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imagetranslation.errors import InputError

FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))


@dataclass(frozen=True)
class Camera:
    """Millimetres and per-millimetre coefficients.

    hole, length: of the collimator; crystal: its thickness; intrinsic: FWHM of the detector; lead: attenuation of lead
    at 140 keV. attenuation: of soft tissue. scatter_slope: scattered per primary photon and mm of depth.
    scatter_range: of the exponential line spread. background: counts of the room per pixel, as a share of the mean
    counts a pixel of the image.
    """

    hole: float = 1.11
    length: float = 24.05
    crystal: float = 9.5
    intrinsic: float = 3.8
    lead: float = 2.4
    attenuation: float = 0.015
    scatter_slope: float = 0.004
    scatter_range: float = 35.0
    background: float = 0.02

    def __post_init__(self) -> None:
        values = vars(self)
        if not all(np.isfinite(v) and v >= 0 for v in values.values()) or self.length <= 2 / max(self.lead, 1e-9):
            raise InputError(f"These camera settings are not physical: {values}.")
        if self.attenuation > 0.1 or self.scatter_slope > 0.05 or self.background > 1:
            raise InputError("The camera's attenuation, scatter or background is far above anything at 140 keV.")

    def fwhm(self, distance: float) -> float:
        """System resolution (mm, full width at half maximum) at `distance` mm from the collimator's face."""
        effective = self.length - 2.0 / self.lead
        collimator = self.hole * (effective + max(distance, 0.0) + self.crystal) / effective
        return float(np.hypot(self.intrinsic, collimator))


IDEAL = Camera(hole=0.0, intrinsic=0.0, attenuation=0.0, scatter_slope=0.0, background=0.0)


def see(
    camera: Camera, layers: np.ndarray, distances: np.ndarray, depths: np.ndarray | None, spacing: float
) -> np.ndarray:
    """The noise-free image (row, column) float32 of primary photons in layers (layer, row, column) before blur.

    distances: (layer,) mm from the collimator. depths: (layer, row, column) mm of tissue in front of each layer, for
    the scatter; None for none. The image is periodic: leave a margin of several resolutions around what is wanted.
    """
    from scipy import fft

    shape = layers.shape[1:]
    ky = (2 * np.pi / spacing) * np.fft.fftfreq(shape[0]).astype(np.float32)
    kx = (2 * np.pi / spacing) * np.fft.rfftfreq(shape[1]).astype(np.float32)
    total = np.zeros((shape[0], len(kx)), np.complex64)
    scattered = np.zeros(shape, np.float32)
    used = [n for n in range(len(layers)) if layers[n].any()]
    for n in used:
        spread = 0.5 * (camera.fwhm(float(distances[n])) / FWHM_PER_SIGMA) ** 2
        transfer = np.exp(-spread * ky**2)[:, None] * np.exp(-spread * kx**2)[None, :]
        total += fft.rfft2(layers[n]) * transfer
        if depths is not None and camera.scatter_slope > 0:
            scattered += layers[n] * (camera.scatter_slope * depths[n])
    if scattered.any():
        # A line spread exp(-|x| / l) has the transfer 1 / (1 + l^2 k^2) along every direction.
        total += fft.rfft2(scattered) / (1 + camera.scatter_range**2 * (ky[:, None] ** 2 + kx[None, :] ** 2))
    image = fft.irfft2(total, s=shape)
    return np.maximum(image, 0).astype(np.float32)


def count(expected: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Poisson counts (uint16) of an image of expected counts. Raises InputError where 65535 would not hold them."""
    if expected.size and float(expected.max()) > 50000:
        raise InputError("More than 50000 counts a pixel are expected; ask for fewer counts or smaller pixels.")
    return random.poisson(expected).astype(np.uint16)
