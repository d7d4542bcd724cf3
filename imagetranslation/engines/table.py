"""The engines of a machine as a table: what is installed, what was measured, what the gate said, what is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import kinds, machine, workload
from .trial import Row, Trial

if TYPE_CHECKING:
    from ..models import ModelPackage


def table(
    package: ModelPackage, device: str, *, measure: bool = False, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """What `imagetranslation engines` shows, as plain JSON.

    measure: try every engine anew first; otherwise only what was measured before is shown, and nothing is run.
    """
    trial = Trial(package, device, say)
    if measure:
        trial.measure_all()
    small = workload.is_small(package)
    pair = ("torch", "float32") if small else trial.choices.get("auto/auto")
    rows = [
        _line(kind, precision, device, package, trial.rows.get((kind.name, precision)), (kind.name, precision) == pair)
        for kind in kinds.KINDS
        for precision in kinds.worth_trying(kind, device) or kinds.precisions(kind, device)[:1] or ("float32",)
    ]
    return {
        "model": package.id,
        "version": package.version,
        "weights_sha256": package.weights_sha256,
        "device": device,
        "processor": machine.processor()[0],
        "bfloat16_in_hardware": machine.has_bfloat16(device),
        "threads": machine.threads(),
        "batch": workload.usual_batch(package, device),
        "engines": rows,
        "rule": _rule(package, device, small, pair is not None),
    }


def _line(
    kind: kinds.Kind, precision: str, device: str, package: ModelPackage, row: Row | None, chosen: bool
) -> dict[str, Any]:
    note = kinds.missing(kind, package, device) or (row.failed if row else "")
    measured = row is not None and row.gate is not None
    found = row.gate if row is not None else None
    if found is not None and not found.passed:
        note = f"{kind.name} in {precision} is not used: {found.reason()}."
    return {
        "engine": kind.name,
        "version": machine.versions().get(kind.package),
        "device": device,
        "precision": precision,
        "gate": "-" if note and found is None else "not measured" if found is None else _word(found.passed),
        "measures": found and found.to_dict(),
        "start_s": row.start_s if row and measured else None,
        "ms_per_batch": row.ms_per_batch if row and measured else None,
        "batch": row.batch if row and measured else None,
        "chosen": chosen,
        "note": note,
    }


def _word(passed: bool) -> str:
    return "passed" if passed else "failed"


def _rule(package: ModelPackage, device: str, small: bool, settled: bool) -> str:
    shape = " x ".join(str(n) for n in workload.NOMINAL_SHAPE)
    if small:
        work = workload.nominal_windows(package) * workload.multiply_adds(package) / 1e9
        return (
            f"{package.id} on {device}: {work:.1f} billion multiply-adds for a volume of {shape}, less than the "
            f"{workload.SMALL / 1e9:.0f} from which starting another engine can pay, so torch in float32 is taken."
        )
    rule = (
        f"{package.id} on {device}: chosen is what starts and translates a volume of {shape} quickest, in batches of "
        f"{workload.usual_batch(package, device)} windows on {machine.threads()} threads; torch in float32 unless "
        "another saves a tenth. torch-compile is taken only when named, because it starts slowly."
    )
    return rule if settled else f"{rule} Nothing is chosen yet: the first translation will, or --measure."
