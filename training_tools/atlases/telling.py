"""The numbers of an atlas for machines: one row a case, and a record with all that the page says."""

from __future__ import annotations

from typing import Any

import numpy as np

from imagetranslation import __version__

from ..evaluating.measures import MEASURES
from .images import LEAST_SIGNAL
from .making import Atlas


def rows(atlas: Atlas) -> list[dict[str, Any]]:
    """One row a case, worst patients first."""
    order = {patient: place for place, patient in enumerate(atlas.ranking.order)}
    by_patient = {} if atlas.within is None else atlas.within.by_patient
    found = []
    for entry in sorted(atlas.entries, key=lambda one: (order[one.patient], one.case)):
        scores, likeness = atlas.evaluated.scores[entry.case], entry.likeness or {}
        inside = by_patient.get(entry.patient, {})
        found.append(
            {
                "place": order[entry.patient] + 1, "patient": entry.patient, "case": entry.case,
                "pictured": int(bool(entry.tiles)), "slice": entry.place,
                **{name: scores.get(name) for name in atlas.ranking.measures},
                **{
                    f"{name}_worse_than_percent": atlas.ranking.worse_than(entry.patient, name)
                    for name in atlas.ranking.measures
                },
                "mean_uncertainty": _short(entry.doubt),
                "patient_rank_correlation": _short(inside.get("rho")), "patient_ause": _short(inside.get("ause")),
                "distance_ratio": likeness.get("ratio"), "verdict": likeness.get("verdict"),
                "missing": "; ".join(entry.reasons),
            }
        )  # fmt: skip
    return found


def record(atlas: Atlas) -> dict[str, Any]:
    """What atlas.json holds."""
    evaluated = atlas.evaluated
    return {
        "task": evaluated.task, "method": evaluated.method, "simulated": evaluated.simulated,
        "settings": {
            **atlas.settings, "data": str(evaluated.data), "least_signal_of_tissue": LEAST_SIGNAL,
            "models": [{"place": str(part.place), "weights_sha256": part.weights} for part in evaluated.parts],
            "software": {"imagetranslation": __version__, "numpy": np.__version__},
        },
        "patients": len(atlas.ranking.order), "cases": len(atlas.entries),
        "measures": {name: vars(MEASURES[name]) for name in atlas.ranking.measures},
        "percentile": "share of the other tested patients that did better in the measure, ties counting half",
        "worst": [
            {"patient": one, **atlas.ranking.told(one)} for one in atlas.ranking.order[: atlas.settings["shown"]]
        ],
        "uncertainty_by_voxel": None if atlas.within is None else atlas.within.as_dict(),
        "uncertainty_by_patient": atlas.doubt.as_dict(), "likeness_by_patient": atlas.likeness.as_dict(),
        "lesions": None if atlas.reading is None else {
            **atlas.reading.as_dict(), "sentences": atlas.reading.sentences(),
        },
        "missing": atlas.missing(), "rows": rows(atlas),
    }  # fmt: skip


def _short(value: float | None) -> float | None:
    """Six significant digits."""
    return None if value is None else float(f"{value:.6g}")
