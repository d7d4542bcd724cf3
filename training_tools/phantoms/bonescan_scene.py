"""The activity of an invented patient as a camera's side sees it, with its lesions, before the camera's own effects.

Attenuation is applied here, along straight lines to the detector, through the soft tissue between a source and the
skin; what the collimator, scatter and chance do comes after (`bonescan_camera`). A posterior view counts depths from
the back: y' = -y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imagetranslation.errors import InputError

from . import bonescan_anatomy as anatomy_of
from .bonescan_anatomy import Body
from .bonescan_camera import Camera
from .bonescan_disease import Lesion
from .bonescan_kinetics import Content, Rates
from .bonescan_limbs import Anatomy
from .bonescan_shapes import Canvas

LAYER_MM = 35.0  # what lies within one layer is blurred alike


@dataclass(frozen=True)
class Patient:
    """An invented patient.

    early, late: what the compartments hold at the two times; urine: what the bladder holds then. counts:
    of the delayed image relative to the usual ones (dose, time, camera).
    """

    group: str
    region: str
    body: Body
    rates: Rates
    early: Content
    late: Content
    urine: tuple[float, float]
    counts: float
    anatomy: Anatomy
    lesions: tuple[Lesion, ...]


@dataclass
class Scene:
    """Activity seen from one side, before the camera. layers: (phase, layer, row, column), attenuated.

    distances: (layer,) mm to the collimator. depths: (layer, row, column) mm of tissue before each layer. plain:
    (phase, row, column), not attenuated. skin: (row, column) y' of the nearest surface; planes: (layer,) y'. inside:
    the body. sign: 1 from the front, -1 from the back.
    """

    layers: np.ndarray
    distances: np.ndarray
    depths: np.ndarray
    plain: np.ndarray
    skin: np.ndarray
    planes: np.ndarray
    inside: np.ndarray
    sign: float
    attenuation: float

    def layer_of(self, y: float) -> int:
        """The layer nearest to a depth y of the patient."""
        return int(np.abs(self.planes - self.sign * y).argmin())


def project(patient: Patient, canvas: Canvas, view: str, camera: Camera, gap: float) -> Scene:
    """The activity of a patient's body, without lesions, on a canvas."""
    sign, shape = (1.0 if view == "anterior" else -1.0), (canvas.rows, canvas.columns)
    skin, back = _surfaces(patient.anatomy, canvas, sign)
    inside = back > skin
    if not inside.any():
        raise InputError("The view shows nothing of the body.")
    near, far = float(skin[inside].min()), float(back[inside].max())
    planes = np.linspace(near, far, max(round((far - near) / LAYER_MM), 1) + 1)
    planes = 0.5 * (planes[1:] + planes[:-1])
    skin, thick = np.where(inside, skin, 0.0), np.where(inside, back - skin, 0.0).astype(np.float32)
    scene = Scene(
        layers=np.zeros((2, len(planes), *shape), np.float32),
        distances=planes - near + gap,
        depths=np.maximum(planes[:, None, None].astype(np.float32) - skin, 0) * inside,
        plain=np.zeros((2, *shape), np.float32),
        skin=skin.astype(np.float32),
        planes=planes,
        inside=inside,
        sign=sign,
        attenuation=camera.attenuation,
    )
    _add_soft(scene, patient, thick)
    surface = np.exp(camera.attenuation * scene.skin)
    for part in patient.anatomy.parts:
        covered = part.shape.thickness(canvas)
        if covered is not None:
            box, chord = covered
            weight = _weights(part.tissue, part.gain, patient)
            depth = part.shape.depth
            seen = _attenuated(chord, surface[box], sign * depth, camera.attenuation)
            scene.plain[(slice(None), *box)] += weight[:, None, None] * chord
            scene.layers[(slice(None), scene.layer_of(depth), *box)] += weight[:, None, None] * seen
    return scene


def add_lesions(
    scene: Scene, lesions: tuple[Lesion, ...], places: list[tuple[np.ndarray, np.ndarray]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Put lesions into a scene, in place; returns the regions (early, late), bool (row, column).

    Inside its region (profile above one half, in the body) a lesion changes the mean unattenuated activity by exactly
    its ratio: raised, by activity of its own at its depth; lowered, by dimming what is there.
    """
    rois, plain = [], scene.plain.copy()
    for lesion, fields in zip(lesions, places):
        both = []
        for phase, (shape, wanted) in enumerate(zip(fields, (lesion.hyperaemia_ratio, lesion.delayed_ratio))):
            shape = shape * scene.inside
            roi = shape > 0.5
            both.append(roi)
            if not roi.any() or wanted == 1.0:
                continue
            usual = float(plain[phase][roi].mean())
            if wanted > 1:
                added = shape * np.float32((wanted - 1) * usual / float(shape[roi].mean()))
                depth = lesion.site.centre[1]
                scene.plain[phase] += added
                share = np.minimum(np.exp(scene.attenuation * (scene.skin - scene.sign * depth)), 1.0)
                scene.layers[phase, scene.layer_of(depth)] += added * share
            else:
                dimmed = (1 - wanted) * usual / float((plain[phase][roi] * shape[roi]).mean())
                kept = np.maximum(1 - np.float32(dimmed) * shape, 0)
                scene.plain[phase] *= kept
                scene.layers[phase] *= kept
        rois.append((both[0], both[1]))
    return rois


def _surfaces(anatomy: Anatomy, canvas: Canvas, sign: float) -> tuple[np.ndarray, np.ndarray]:
    front = np.full((canvas.rows, canvas.columns), np.inf, np.float32)
    back = np.full((canvas.rows, canvas.columns), -np.inf, np.float32)
    for shape in anatomy.outline:
        covered = shape.thickness(canvas)
        if covered is not None:
            box, chord = covered
            y, half = sign * shape.depth, 0.5 * chord
            filled = chord > 0
            np.minimum(front[box], np.where(filled, y - half, np.inf), out=front[box])
            np.maximum(back[box], np.where(filled, y + half, -np.inf), out=back[box])
    return front, back


def _add_soft(scene: Scene, patient: Patient, thick: np.ndarray) -> None:
    """Soft tissue between the surfaces, its near half in one layer and its far half in another."""
    weight = _weights("soft", 1.0, patient)[:, None, None]
    mu, half = scene.attenuation, 0.5 * thick
    share = half if mu == 0 else ((1 - np.exp(-mu * half)) / mu).astype(np.float32)
    scene.plain += weight * thick
    quarter = 0.25 * float(thick[scene.inside].mean())
    middle = float((scene.skin + half)[scene.inside].mean())
    near, far = scene.layer_of(scene.sign * (middle - quarter)), scene.layer_of(scene.sign * (middle + quarter))
    scene.layers[:, near] += weight * share
    scene.layers[:, far] += weight * share * np.exp(-mu * half)


def _weights(tissue: str, gain: float, patient: Patient) -> np.ndarray:
    """(2,) activity a mm^3 at both times, less the soft tissue's that the part takes the place of."""
    values = []
    for state, urine in zip((patient.early, patient.late), patient.urine):
        if tissue == "bladder":
            value = anatomy_of.bladder_activity(patient.body, urine)
        else:
            value = anatomy_of.activity(tissue, state, patient.rates, gain)
        if tissue not in ("soft", "bladder", "vessel"):
            value -= anatomy_of.activity("soft", state, patient.rates)
        values.append(value)
    return np.array(values, np.float32)


def _attenuated(chord: np.ndarray, surface: np.ndarray, y: float, mu: float) -> np.ndarray:
    """What is seen of a uniform slab of thickness `chord` about y' = y: the integral of exp(-mu depth) along it."""
    if mu == 0:
        return chord
    seen = surface * np.float32(np.exp(-mu * y) * 2 / mu) * np.sinh(0.5 * mu * chord)
    return np.minimum(seen, chord)
