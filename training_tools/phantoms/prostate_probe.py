"""Where a transrectal probe's samples lie: beams, depths and planes, and back from millimetres to samples.

Two probes: "side-fire" turns its array about its own axis (or carries a curved array along it), so that the volume
is a sector of a cylinder around the probe; "end-fire" sits below in the rectum, looks up and forwards with a curved
array and tilts it through the sweep (motorised end-fire volume probes; see Fenster et al., Interface Focus 2011,
PMC3262266). Both apexes of the end-fire probe, in the plane and of the sweep, are one point: a simplification.
Sizes are our choice. What a beam meets is left to `prostate_ultrasound`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

KINDS = ("side-fire", "end-fire")


@dataclass(frozen=True)
class Probe:
    """kind: one of KINDS. centre: mm, LPS, the middle of the cylinder or the apex. radius: mm from there to the face.
    depth: mm beyond the face. half_angle, half_sweep: radians of the fan in a plane, and of the sweep (end-fire).
    length: mm along z (side-fire). samples: (planes, beams, depths). tilt: radians that an end-fire probe looks
    up."""

    kind: str
    centre: tuple[float, float, float]
    radius: float = 10.0
    depth: float = 68.0
    half_angle: float = np.radians(66.0)
    half_sweep: float = np.radians(50.0)
    length: float = 78.0
    samples: tuple[int, int, int] = (66, 160, 224)
    tilt: float = np.radians(40.0)
    directions: tuple[np.ndarray, np.ndarray, np.ndarray] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a probe is one of {', '.join(KINDS)}, not {self.kind}")
        up, forward = np.sin(self.tilt), np.cos(self.tilt)
        # Along the beam in the middle, across it in the plane (to the patient's left), across the planes.
        axes = np.array([0, -forward, up]), np.array([1.0, 0, 0]), np.array([0, up, forward])
        object.__setattr__(self, "directions", axes)

    @property
    def depths(self) -> np.ndarray:
        """mm from the face to each sample of a beam."""
        return np.linspace(0, self.depth, self.samples[2])

    @property
    def angles(self) -> np.ndarray:
        """Radians of each beam in its plane, growing to the patient's left."""
        return np.linspace(-self.half_angle, self.half_angle, self.samples[1])

    @property
    def planes(self) -> np.ndarray:
        """z in mm from the centre (side-fire) or radians of the sweep (end-fire)."""
        half = self.length / 2 if self.kind == "side-fire" else self.half_sweep
        return np.linspace(-half, half, self.samples[0])

    def places(self) -> np.ndarray:
        """(3, planes, beams, depths) float32: x, y, z in mm, LPS, of every sample."""
        reach = (self.radius + self.depths)[None, None, :]
        angle, plane = self.angles[None, :, None], self.planes[:, None, None]
        if self.kind == "side-fire":
            parts = [reach * np.sin(angle), -reach * np.cos(angle), plane]
        else:
            along = reach * np.cos(angle)
            frame = (along * np.cos(plane), reach * np.sin(angle), along * np.sin(plane))
            parts = [sum(a[n] * f for a, f in zip(self.directions, frame)) for n in range(3)]
        return np.stack([np.broadcast_to(p, self.samples) + c for p, c in zip(parts, self.centre)]).astype(np.float32)

    def indices(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """(3, ...) float32 plane, beam and depth number (fractions) of places in mm; outside of the volume they lie
        outside of the range of `samples`. x, y, z broadcast against each other."""
        x, y, z = (p - np.float32(c) for p, c in zip((x, y, z), self.centre))
        if self.kind == "side-fire":
            reach, angle, plane = np.hypot(x, y), np.arctan2(x, -y), z
        else:
            ahead, across, aside = (sum(np.float32(a[n]) * p for n, p in enumerate((x, y, z))) for a in self.directions)
            reach = np.sqrt(ahead**2 + across**2 + aside**2)
            angle = np.arcsin(np.clip(across / np.maximum(reach, 1e-6), -1, 1))
            plane = np.arctan2(aside, ahead)
        scales = [(axis[0], axis[1] - axis[0]) for axis in (self.planes, self.angles, self.depths)]
        found = [(value - np.float32(first)) / np.float32(step) for value, (first, step) in
                 zip((plane, angle, reach - np.float32(self.radius)), scales)]  # fmt: skip
        return np.stack(np.broadcast_arrays(*found))

    def covers(self, indices: np.ndarray) -> np.ndarray:
        """Where `indices` lie inside of the volume."""
        inside = np.ones(indices.shape[1:], bool)
        for value, count in zip(indices, self.samples):
            inside &= (value >= 0) & (value <= count - 1)
        return inside

    def across(self) -> tuple[np.ndarray, np.ndarray]:
        """mm between neighbouring beams and between neighbouring planes at each depth, (depths,) each."""
        reach = self.radius + self.depths
        between_beams = reach * (self.angles[1] - self.angles[0])
        step = float(self.planes[1] - self.planes[0])
        return between_beams, (np.full_like(reach, step) if self.kind == "side-fire" else reach * step)
