"""MIRP's feature names in the IBSI terms of `names`, and which of them a feature set holds."""

from __future__ import annotations

import re
from functools import cache

from .names import FAMILIES, VOLUME_HISTOGRAM, Identity, ibsi

# What MIRP calls its families in its settings, in the order of the paper's set and then the rest.
PAPER_FAMILIES = ("local_intensity", "statistics", "intensity_histogram", "intensity_volume_histogram", "glcm", "glrlm",
                  "glszm", "gldzm", "ngtdm", "ngldm")  # fmt: skip
AGGREGATIONS = {
    "2d_avg": "2D, averaged", "2d_s_mrg": "2D, slice-merged", "2.5d_d_mrg": "2.5D, direction-merged",
    "2.5d_v_mrg": "2.5D, merged", "3d_avg": "3D, averaged", "3d_v_mrg": "3D, merged", "2d": "2D", "2.5d": "2.5D",
    "3d": "3D",
}  # fmt: skip
GAP = (
    "ivh_auc (area under the intensity-volume histogram): MIRP does not make it, and the standard has no reference "
    "value for it."
)
_PAPER_IVH = {"ivh_v10", "ivh_v90", "ivh_i10", "ivh_i90", "ivh_diff_v10_v90", "ivh_diff_i10_i90"}
_IVH = (
    (r"v(\d+)", "Volume at {}% intensity fraction", "BC2M", ""),
    (r"i(\d+)", "Intensity at {}% volume fraction", "GBPN", "intensity"),
    (r"diff_v(\d+)_v(\d+)", "Volume fraction difference between {}% and {}% intensity fractions", "DDTU", ""),
    (r"diff_i(\d+)_i(\d+)", "Intensity difference between {}% and {}% volume fractions", "CNV2", "intensity"),
)
_NAME = re.compile(
    r"(?P<prefix>[a-z]+)_(?P<short>.+?)(?:_d[\d.]+)?(?:_a[\d.]+)?"
    rf"(?:_(?P<how>{'|'.join(re.escape(how) for how in AGGREGATIONS)}))?(?:_(?:fbn_n|fbs_w)[\d.]+)?"
)


@cache
def identity(column: str) -> tuple[Identity, str] | None:
    """What a column of MIRP's table is, and its aggregation ("" for none); None for a column that is no feature."""
    found = _NAME.fullmatch(column)
    if found is None:
        return None
    prefix, short, how = found["prefix"], found["short"], AGGREGATIONS.get(found["how"] or "", "")
    if prefix == "ivh":
        what = _volume_histogram(short)
        return (what, how) if what else None
    if prefix not in FAMILIES or short not in FAMILIES[prefix][1]:
        return None
    return ibsi(prefix, short), how


def _volume_histogram(short: str) -> Identity | None:
    for pattern, name, code, unit in _IVH:
        if found := re.fullmatch(pattern, short):
            return Identity(name.format(*found.groups()), code, VOLUME_HISTOGRAM, unit)
    return None


def in_set(column: str, feature_set: str) -> bool:
    """Whether a feature belongs to "paper186" or to "ibsi" (all of them)."""
    return feature_set == "ibsi" or not column.startswith("ivh_") or column in _PAPER_IVH
