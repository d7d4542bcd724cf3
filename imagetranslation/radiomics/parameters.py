"""Reading a PyRadiomics parameter file: hostile until read, checked name by name, never run.

The rules are those of PyRadiomics 3.0.1's own schema, restated so that each fault is a sentence and so that the file
can be read where PyRadiomics is not installed. Values are kept exactly as they stand in the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError

SIZE_LIMIT = 1 << 18
# Anchors and aliases may blow a small file up to anything.
NODE_LIMIT = 20_000
LARGEST = 1e12
SECTIONS = ("setting", "imageType", "featureClass", "voxelSetting")
IMAGE_TYPES = ("Original", "Wavelet", "LoG", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient",
               "LBP2D", "LBP3D")  # fmt: skip
FEATURE_CLASSES = ("firstorder", "shape", "shape2D", "glcm", "glrlm", "glszm", "gldm", "ngtdm")
INTERPOLATORS = ("sitkNearestNeighbor", "sitkLinear", "sitkBSpline", "sitkGaussian", "sitkLabelGaussian",
                 "sitkHammingWindowedSinc", "sitkCosineWindowedSinc", "sitkWelchWindowedSinc",
                 "sitkLanczosWindowedSinc", "sitkBlackmanWindowedSinc")  # fmt: skip
DEFAULTS: dict[str, Any] = {
    "minimumROIDimensions": 2, "minimumROISize": None, "normalize": False, "normalizeScale": 1, "removeOutliers": None,
    "resampledPixelSpacing": None, "interpolator": "sitkBSpline", "preCrop": False, "padDistance": 5, "distances": [1],
    "force2D": False, "force2Ddimension": 0, "resegmentRange": None, "label": 1, "additionalInfo": True,
}  # fmt: skip
_NULLABLE = {"minimumROISize", "removeOutliers", "resampledPixelSpacing", "interpolator", "resegmentRange",
             "weightingNorm", "binCount"}  # fmt: skip
# Largest numbers that mean something; beyond them a run would never end or not fit into memory.
_WHOLE = {  # name: (smallest, largest)
    "minimumROIDimensions": (1, 3), "minimumROISize": (1, 10**9), "label": (1, 2**31 - 1), "label_channel": (0, 10**4),
    "binCount": (1, 4096), "padDistance": (0, 10**4), "force2Ddimension": (0, 2), "start_level": (0, 10),
    "level": (1, 10), "lbp2DSamples": (1, 64), "lbp3DLevels": (1, 16), "lbp3DIcosphereSubdivision": (0, 5),
    "voxelArrayShift": (-(10**9), 10**9), "gldm_a": (0, 4096), "kernelRadius": (1, 100), "voxelBatch": (1, 10**9),
}  # fmt: skip
_POSITIVE = {"geometryTolerance", "binWidth", "normalizeScale", "removeOutliers", "lbp2DRadius", "lbp3DIcosphereRadius"}
_FLAGS = {"correctMask", "additionalInfo", "normalize", "force2D", "resegmentShape", "preCrop", "gradientUseSpacing",
          "symmetricalGLCM", "maskedKernel"}  # fmt: skip
_CHOICES = {
    "resegmentMode": ("absolute", "relative", "sigma"), "lbp2DMethod": ("default", "ror", "uniform", "var"),
    "weightingNorm": ("euclidean", "manhattan", "infinity", "no_weighting"),
}  # fmt: skip
_LISTS = {  # name: (whole numbers only, smallest, may be equal, lengths)
    "resampledPixelSpacing": (False, 0.0, True, (3,)), "distances": (True, 0.0, False, range(1, 51)),
    "resegmentRange": (False, -math.inf, True, (1, 2)), "sigma": (False, 0.0, False, range(51)),
}  # fmt: skip


def read_mapping(path: str | Path) -> dict[str, Any]:
    """The YAML or JSON mapping in a settings file; InputError with one sentence for anything else."""
    from ..files import require_text_name

    path = Path(path)
    require_text_name(path)
    try:
        with open(path, "rb") as stream:
            content = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise InputError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    if len(content) > SIZE_LIMIT:
        raise InputError(f"{path.name} is larger than {SIZE_LIMIT // 1024} KiB; that is no settings file.")
    mapping = _parse(content, path.name)
    if not isinstance(mapping, dict) or not mapping:
        raise InputError(f"{path.name} holds no settings: a mapping of names to values was expected.")
    _count(mapping, path.name)
    return mapping


def _parse(content: bytes, name: str) -> Any:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not text in UTF-8; a YAML settings file was expected.") from error
    if name.lower().endswith(".json"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name} is not valid JSON: {_first_line(error)}.") from error
    try:
        from ruamel.yaml import YAML
    except ImportError as error:
        raise InputError(
            "Reading YAML settings needs ruamel.yaml: run pip install ruamel.yaml, or give JSON."
        ) from error
    try:
        # The safe loader of YAML 1.2 that PyRadiomics' own check uses, so that every value is read the same.
        return YAML(typ="safe", pure=True).load(text)
    except Exception as error:
        raise InputError(f"{name} is not valid YAML: {_first_line(error)}.") from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:160].rstrip(".")


def _count(value: Any, name: str) -> None:
    """Refuse what expands to too much, and anything that is not a plain value."""
    stack, seen = [(value, 0)], 0
    while stack:
        node, depth = stack.pop()
        seen += 1
        if seen > NODE_LIMIT or depth > 20:
            raise InputError(f"{name} expands to too many values; that is no settings file.")
        if isinstance(node, dict):
            if bad := [key for key in node if not isinstance(key, str)]:
                raise InputError(f"{name} has the key {str(bad[0])[:40]!r}, which is not a name.")
            stack += [(child, depth + 1) for child in node.values()]
        elif isinstance(node, (list, tuple)):
            stack += [(child, depth + 1) for child in node]
        elif not isinstance(node, (str, int, float, bool, type(None))):
            raise InputError(f"{name} holds a {type(node).__name__}, which is no setting.")
        elif isinstance(node, float) and not math.isfinite(node):
            raise InputError(f"{name} holds the value {node}; a finite number was expected.")


def is_parameters(mapping: Mapping[str, Any]) -> bool:
    """Whether a settings file is one of PyRadiomics."""
    return any(section in mapping for section in SECTIONS)


def check_parameters(mapping: Mapping[str, Any], name: str = "The parameter file") -> dict[str, Any]:
    """A checked copy with all of `SECTIONS` but empty ones; InputError with one sentence otherwise."""
    if unknown := [key for key in mapping if key not in SECTIONS]:
        raise InputError(f"{name} has the section {unknown[0]!r}; PyRadiomics knows {', '.join(SECTIONS)}.")
    checked: dict[str, Any] = {}
    for section in SECTIONS:
        content = mapping.get(section)
        if content is None and section in ("setting", "voxelSetting"):
            continue
        if section in mapping and not isinstance(content, dict):
            raise InputError(f"The section {section} of {name} is not a mapping of names to values.")
        if not content:
            continue
        if section == "imageType":
            checked[section] = {key: _image_type(key, value, name) for key, value in content.items()}
        elif section == "featureClass":
            checked[section] = {key: _feature_class(key, value, name) for key, value in content.items()}
        else:
            checked[section] = {key: _setting(key, value, name) for key, value in content.items()}
    return checked


def _image_type(key: str, value: Any, name: str) -> dict[str, Any]:
    if key not in IMAGE_TYPES:
        raise InputError(f"{name} asks for the image type {key!r}; PyRadiomics knows {', '.join(IMAGE_TYPES)}.")
    if value is not None and not isinstance(value, dict):
        raise InputError(f"The settings of image type {key} in {name} are not a mapping of names to values.")
    return {setting: _setting(setting, content, name) for setting, content in (value or {}).items()}


def _feature_class(key: str, value: Any, name: str) -> list[str] | None:
    if key not in FEATURE_CLASSES:
        raise InputError(f"{name} asks for the feature class {key!r}; PyRadiomics knows {', '.join(FEATURE_CLASSES)}.")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(feature, str) for feature in value):
        raise InputError(f"The features of class {key} in {name} are not a list of names.")
    return list(value)


def _setting(key: str, value: Any, name: str) -> Any:
    """One value, as it is; InputError where PyRadiomics would refuse it."""
    if value is None and key in _NULLABLE:
        return None
    expected = _expected(key, value)
    if expected is None:
        raise InputError(f"{name} has the setting {str(key)[:60]!r}, which PyRadiomics does not know.")
    if expected:
        shown = json.dumps(value, ensure_ascii=False)[:60]
        raise InputError(f"The setting {key} of {name} is {shown}; {expected} was expected.")
    return list(value) if isinstance(value, list) else value


def _expected(key: str, value: Any) -> str | None:
    """ "" where the value is right, None where the name is unknown, else what was expected."""
    if key in _WHOLE:
        low, high = _WHOLE[key]
        return "" if _whole(value) and low <= value <= high else f"a whole number from {low} to {high}"
    if key in _POSITIVE:
        return "" if _number(value) and 0 < value <= LARGEST else "a number above 0"
    if key == "initValue":
        return "" if _number(value) else "a number"
    if key in _FLAGS:
        return "" if isinstance(value, bool) else "true or false"
    if key in _CHOICES:
        return "" if value in _CHOICES[key] else f"one of {', '.join(_CHOICES[key])}"
    if key == "wavelet":
        return "" if isinstance(value, str) and 0 < len(value) < 20 else "the name of a wavelet"
    if key == "interpolator":
        # 3 was the B-spline's number once, and is nobody's since SimpleITK numbers splines by their order.
        right = value in INTERPOLATORS if isinstance(value, str) else _whole(value) and 1 <= value <= 10 and value != 3
        return "" if right else f"one of {', '.join(INTERPOLATORS)}"
    if key in _LISTS:
        return _expected_list(key, value)
    return None


def _expected_list(key: str, value: Any) -> str:
    whole, low, equal, lengths = _LISTS[key]
    right = isinstance(value, list) and len(value) in lengths
    right = right and all((_whole(n) if whole else _number(n)) and abs(n) <= LARGEST for n in value)
    right = right and all(n >= low if equal else n > low for n in value)
    above = "" if low == -math.inf else f" {'from' if equal else 'above'} {low:g}{' on' if equal else ''}"
    count = f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else str(lengths[0])
    return "" if right else f"a list of {count} {'whole ' if whole else ''}numbers{above}"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
