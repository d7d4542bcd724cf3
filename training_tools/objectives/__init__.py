"""Registry of training objectives: a configuration names one. Each stands in a file of its own; see `protocol`."""

from __future__ import annotations

import importlib

from imagetranslation.errors import InputError

from .protocol import Objective

_CLASSES: dict[str, str] = {}


def register(name: str, where: str) -> None:
    """Make `name` known; where: "module:Class" inside this package, imported at first use."""
    _CLASSES[name] = where


def names() -> list[str]:
    """All registered names, sorted."""
    return sorted(_CLASSES)


def find(name: str) -> type[Objective]:
    """The class of an objective; it is made with its options: `find(name)(Options(...))`. InputError if unknown."""
    if name not in _CLASSES:
        raise InputError(f"Unknown objective {name!r}; this version knows {', '.join(names())}.")
    module, class_ = _CLASSES[name].split(":")
    found: type[Objective] = getattr(importlib.import_module(f"{__name__}.{module}"), class_)
    return found


register("pix2pix", "pix2pix:Pix2Pix")
register("located", "located:Located")
register("regression", "regression:Regression")
register("perceptual-pix2pix", "perceptual:PerceptualPix2Pix")
register("cyclegan", "cyclegan:CycleGAN")
register("discogan", "discogan:DiscoGAN")
register("dualgan", "dualgan:DualGAN")
register("gcgan", "gcgan:GcGAN")
register("travelgan", "travelgan:TravelGAN")
register("cut", "cut:CUT")
register("reggan", "reggan:RegGAN")
register("bridge", "bridge:Bridge")
