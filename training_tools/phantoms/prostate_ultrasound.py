"""Transrectal B-mode of layers of tissue: scatterers, beam, attenuation, interfaces, gain, compression, scan
conversion.

In the probe's own geometry (planes, beams, depths):

- Scatterers: many at random places in every resolution cell, so their sum is a complex Gaussian field (Wagner et
  al., IEEE Trans Sonics Ultrason 1983) with the tissue's backscattered intensity as its variance; its envelope
  before compression is Rayleigh, mean over SD 1.91.
- Point spread: Gaussian along the pulse (its length from centre frequency and bandwidth: 62% at 5.66 MHz in a
  published transrectal array, PMC3442955, whose beams are 0.9 to 1.3 mm wide) and Gaussian across it with a width
  that grows away from the focus, lambda F# sqrt(1 + ((z - focus) / (7 lambda F#^2))^2); linear, without side lobes.
- Attenuation a f^n in dB/cm of every tissue on the way, twice (out and back); the centre frequency is kept.
- Interfaces: amplitude reflection tanh(d ln Z / 2) of the change of impedance Z along the beam over one millimetre,
  so an interface is bright where the beam meets it squarely; what is reflected is missing behind it (1 - R^2 out
  and back). That and the attenuation of bone, stones and gas make the shadows.
- Electronic noise before time-gain compensation, clutter near the face (ours), logarithmic compression.

Left out: refraction, multiple reflection, speed-of-sound error, non-linear propagation, motion, spatial
compounding. Tissue values and their sources stand in `prostate_tissues`; sizes without a source are our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .prostate_probe import Probe
from .prostate_shapes import Grid, Layer, paint
from .prostate_tissues import TISSUES

SPEED = 1540.0  # m/s, what scanners assume
BLACK = 2  # the darkest recorded grey value: `imagetranslation.fieldofview` takes 0 and 1 of 255 for the outside
INTERFACE = 1.0  # mm over which a change of impedance counts as one interface


@dataclass(frozen=True)
class Scanner:
    """frequency: MHz. bandwidth: -6 dB, relative. lateral, elevation: F-numbers of the array and of its lens.
    focus: mm. compensation: dB/(cm MHz) that the gain makes up for, one way. noise: dB below the peripheral zone at
    the face. specular: dB of a perfect reflector over the peripheral zone's speckle. clutter: dB over it at the face.
    dynamic_range: dB from black to white. level: grey value (0 to 255) of the peripheral zone."""

    frequency: float = 6.5
    bandwidth: float = 0.6
    lateral: float = 3.0
    elevation: float = 5.0
    focus: float = 30.0
    compensation: float = 0.42
    noise: float = 62.0
    specular: float = 27.0
    clutter: float = 10.0
    dynamic_range: float = 50.0
    level: float = 185.0


def draw_scanner(random: np.random.Generator, base: Scanner) -> Scanner:
    """Settings near `base`: gain, compensation, focus, range and frequency vary by our choice."""
    from dataclasses import replace

    return replace(
        base,
        frequency=base.frequency * float(random.uniform(0.88, 1.15)),
        focus=base.focus * float(random.uniform(0.7, 1.3)),
        compensation=base.compensation * float(random.uniform(0.85, 1.1)),
        clutter=base.clutter + float(random.normal(0, 3)),
        dynamic_range=base.dynamic_range * float(random.uniform(0.9, 1.15)),
        level=base.level + float(random.normal(0, 15)),
    )


def acquire(
    layers: Sequence[Layer],
    fine: Grid,
    grid: Grid,
    texture: np.ndarray,
    probe: Probe,
    scanner: Scanner,
    random: np.random.Generator,
) -> np.ndarray:
    """uint8 (k, j, i) on `grid`: 0 outside of the probe's volume, BLACK to 255 in it. texture: float32 on `fine`, SD
    1."""
    tissue = sampled(layers, fine, texture, probe)
    shown = compress(envelope(*tissue, probe, scanner, random), probe, scanner)
    return scan_convert(shown, probe, grid)


def sampled(
    layers: Sequence[Layer], fine: Grid, texture: np.ndarray, probe: Probe
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the beams meet, each (planes, beams, depths) float32: backscatter in dB, attenuation in dB/cm at 1 MHz,
    its power of frequency, and the logarithm of the impedance. Beyond `fine` its edge goes on."""
    from scipy.ndimage import map_coordinates

    shown = [layer for layer in layers if layer.in_us]
    echo = paint(shown, fine.shape, lambda tissue: tissue.echo)
    echo += paint(shown, fine.shape, lambda tissue: tissue.echo_texture) * texture
    places = probe.places()
    at = np.stack([(places[n] - np.float32(fine.first[n])) / np.float32(fine.spacing[n]) for n in (2, 1, 0)])
    maps = [echo, *(paint(shown, fine.shape, value) for value in _acoustics())]
    found = [map_coordinates(values, at, order=1, mode="nearest", output=np.float32) for values in maps]
    return found[0], found[1], found[2], found[3]


def envelope(
    echo: np.ndarray,
    attenuation: np.ndarray,
    power: np.ndarray,
    impedance: np.ndarray,
    probe: Probe,
    scanner: Scanner,
    random: np.random.Generator,
) -> np.ndarray:
    """float32 (planes, beams, depths): detected amplitude after time-gain compensation; the mean square of the
    peripheral zone's speckle at the face is 1. The arguments are those of `sampled`."""
    step = probe.depth / (probe.samples[2] - 1)
    reflected = reflection(impedance, step)
    loss = two_way_loss(attenuation * np.float32(scanner.frequency) ** power, reflected, step)
    field = speckle(10 ** (echo / 20), probe, scanner, random)
    # A specular echo carries the phase of its depth, random against the speckle's.
    strength = np.float32(10 ** (scanner.specular / 20))
    field += strength * np.abs(reflected) * _phases(reflected.shape, random)
    field *= 10 ** (-loss / 20)
    depth = probe.depths.astype(np.float32)
    near = np.float32(10 ** (scanner.clutter / 20)) * np.exp(-depth / np.float32(1.5))
    field += near * _gaussian(field.shape, random)
    field += np.float32(10 ** (-scanner.noise / 20)) * _gaussian(field.shape, random)
    return np.abs(field) * gain(probe, scanner).astype(np.float32)


def reflection(impedance: np.ndarray, step: float) -> np.ndarray:
    """Amplitude reflection coefficient at each sample, from the logarithm of the impedance along the last axis
    (`step` mm)."""
    reach = max(round(INTERFACE / step / 2), 1)
    change = np.zeros_like(impedance)
    change[..., reach:-reach] = impedance[..., 2 * reach :] - impedance[..., : -2 * reach]
    return np.tanh(change * np.float32(INTERFACE / (2 * reach * step)) / 2)


def two_way_loss(attenuation: np.ndarray, reflected: np.ndarray, step: float) -> np.ndarray:
    """dB lost on the way to each sample and back: attenuation in dB/cm at the pulse's frequency, and what interfaces
    before it reflect. Along the last axis, `step` mm."""
    passed = np.float32(2 * step / 10) * attenuation
    # An interface is spread over INTERFACE mm of samples, and so is what it takes away; 1e-4 keeps a shadow finite.
    passed -= np.float32(20 * step / INTERFACE) * np.log10(np.maximum(1 - reflected**2, np.float32(1e-4)))
    total = np.cumsum(passed, axis=-1, dtype=np.float32)
    return total - passed


def speckle(amplitude: np.ndarray, probe: Probe, scanner: Scanner, random: np.random.Generator) -> np.ndarray:
    """complex64 (planes, beams, depths): scatterers of that amplitude, blurred by the pulse and by the beam of each
    depth, so scaled that uniform scatterers of amplitude 1 have the mean square 1 everywhere."""
    from scipy import fft
    from scipy.ndimage import gaussian_filter1d

    field = _gaussian(amplitude.shape, random) * amplitude
    between = probe.across()
    for axis, width in ((1, beam_width(probe.depths, scanner, scanner.lateral)),
                        (0, beam_width(probe.depths, scanner, scanner.elevation))):  # fmt: skip
        count = probe.samples[axis]
        sigma = width / np.sqrt(8 * np.log(2)) / between[1 - axis]
        wave = 2 * np.pi * fft.fftfreq(count)
        spread = np.exp(-0.5 * (wave[:, None] * sigma[None, :]) ** 2)
        spread /= np.sqrt(np.mean(spread**2, axis=0))
        shape = (1, count, -1) if axis == 1 else (count, 1, spread.shape[1])
        spectrum = fft.fft(field, axis=axis, overwrite_x=True)
        spectrum *= spread.astype(np.float32).reshape(shape)
        field = fft.ifft(spectrum, axis=axis, overwrite_x=True)
    sigma = pulse_length(scanner) / np.sqrt(8 * np.log(2)) / (probe.depth / (probe.samples[2] - 1))
    taps = gaussian_filter1d(np.eye(1, 65, 32)[0], sigma)
    scale = np.float32(1 / np.sqrt(np.sum(taps**2)))
    blurred = np.empty_like(field)
    blurred.real = gaussian_filter1d(field.real, sigma, axis=2, mode="reflect") * scale
    blurred.imag = gaussian_filter1d(field.imag, sigma, axis=2, mode="reflect") * scale
    return blurred


def beam_width(depth: np.ndarray, scanner: Scanner, f_number: float) -> np.ndarray:
    """Full width at half maximum (mm) of the two-way beam at each depth (mm)."""
    wavelength = SPEED / scanner.frequency / 1000
    return wavelength * f_number * np.sqrt(1 + ((depth - scanner.focus) / (7 * wavelength * f_number**2)) ** 2)


def pulse_length(scanner: Scanner) -> float:
    """Full width at half maximum (mm of depth) of a Gaussian pulse: 4 ln 2 / pi over its bandwidth, half of it by
    echo."""
    microseconds = 4 * np.log(2) / np.pi / (scanner.bandwidth * scanner.frequency)
    return float(SPEED * microseconds / 2 / 1000)


def gain(probe: Probe, scanner: Scanner) -> np.ndarray:
    """Amplitude factor of the time-gain compensation at each depth."""
    return 10 ** (2 * scanner.compensation * scanner.frequency * probe.depths / 10 / 20)


def compress(amplitude: np.ndarray, probe: Probe, scanner: Scanner) -> np.ndarray:
    """float32 grey values 0 to 255: the logarithm over the dynamic range; amplitude 1 is drawn at `level`."""
    decibels = 20 * np.log10(np.maximum(amplitude, np.float32(1e-8)))
    return np.clip(scanner.level + decibels * np.float32(255 / scanner.dynamic_range), 0, 255)


def scan_convert(values: np.ndarray, probe: Probe, grid: Grid) -> np.ndarray:
    """uint8 (k, j, i): grey values of the beams on a regular grid, linearly between samples; 0 outside of the
    volume. Samples along a beam are finer than voxels: their grey values are averaged over a voxel before."""
    from scipy.ndimage import gaussian_filter1d, map_coordinates

    voxel = (grid.spacing[0] + grid.spacing[1]) / 2
    values = gaussian_filter1d(values, voxel / np.sqrt(8 * np.log(2)) / probe.depths[1], axis=2)
    at = probe.indices(*grid.mesh())
    inside = probe.covers(at)
    found = np.zeros(grid.shape, np.uint8)
    shown = map_coordinates(values, at[:, inside], order=1, mode="nearest", output=np.float32)
    found[inside] = np.clip(np.rint(shown), BLACK, 255)
    return found


def _acoustics() -> tuple:
    return (
        lambda tissue: tissue.attenuation,
        lambda tissue: tissue.power,
        lambda tissue: float(np.log(tissue.impedance / TISSUES["peripheral zone"].impedance)),
    )


def _gaussian(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """complex64 circular Gaussian field of mean square 1."""
    field = np.empty(shape, np.complex64)
    field.real = random.standard_normal(shape, np.float32)
    field.imag = random.standard_normal(shape, np.float32)
    return field * np.float32(np.sqrt(0.5))


def _phases(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    angle = random.random(shape, np.float32) * np.float32(2 * np.pi)
    field = np.empty(shape, np.complex64)
    np.cos(angle, out=field.real)
    np.sin(angle, out=field.imag)
    return field
