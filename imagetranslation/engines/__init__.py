"""Engines: what runs a network's windows, how one is chosen, and when less than 32 bits are allowed.

`make_predictor` is the way in. Inside: `kinds` (which engines there are), `torchengine`, `onnxengine` and
`openvinoengine` (the engines), `preparing` (a network made faster), `transfers` (to a GPU and back), `exporting` (the
ONNX file both others read), `probes` and `gate` (whether a precision is good enough), `trial` (figures and choice),
`workload` (how much work a model is), `machine`, `records`. The plain float32 they are compared with is
`predictors.TorchPredictor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError, RunFailed
from ..predictors import choose_device

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..models import ModelPackage
    from ..predictors import Predictor
    from .trial import Row


def make_predictor(
    package: ModelPackage,
    *,
    device: str = "auto",
    engine: str = "auto",
    precision: str = "auto",
    say: Callable[[str], None] | None = None,
) -> Predictor:
    """The predictor for a package on this machine.

    engine: "auto" or one of `kinds.NAMES`; precision: "auto", "float32", "bfloat16" or "float16". "auto" chooses by a
    short trial that is kept (`trial`), and takes plain torch in float32 without one for small models (`workload`). Less
    than 32 bits are used only where the gate is passed (`gate`); otherwise float32, and `notes` say so. say: told what
    is being tried. Raises InputError for an unknown name, RunFailed where a named engine cannot run here, ModelRefused.
    """
    from . import kinds, workload

    where = choose_device(device)
    if precision not in ("auto", *kinds.PRECISIONS):
        raise InputError(f"There is no precision called {precision}; use auto, {', '.join(kinds.PRECISIONS)}.")
    if engine != "auto":
        kind = kinds.kind_of(engine)
        if lacking := kinds.missing(kind, package, where):
            raise RunFailed(lacking)
        if precision not in ("auto", *kinds.precisions(kind, where)):
            offered = ", ".join(kinds.precisions(kind, where))
            raise InputError(f"{engine} has no {precision} on {where}; it has {offered}.")
    if precision in ("auto", "float32") and engine in ("auto", "torch") and workload.is_small(package):
        return _made(package, where, "torch", "float32")
    alone = engine != "auto" and precision == "auto" and len(kinds.worth_trying(kinds.kind_of(engine), where)) == 1
    if alone or (engine != "auto" and precision == "float32"):
        return _made(package, where, engine, "float32")
    return _tried(package, where, engine, precision, say)


def _tried(
    package: ModelPackage, device: str, engine: str, precision: str, say: Callable[[str], None] | None
) -> Predictor:
    """The predictor that the trial's figures choose."""
    from . import trial

    trials = trial.Trial(package, device, say)
    chosen = trials.settle(engine, precision)
    asked = trial.candidates(package, device, engine, precision, slow=False)
    rows = [trials.rows[pair] for pair in asked if pair in trials.rows]
    notes = [_refusal(row) for row in rows if row.precision != "float32" and row.gate and not row.gate.passed]
    if precision not in ("auto", "float32"):
        notes += [f"{row.precision} was not used: {row.failed}" for row in rows if row.failed]
    if chosen is None:
        return _made(package, device, "torch" if engine == "auto" else engine, "float32", tuple(notes))
    if chosen.precision != "float32":
        notes = [_statement(chosen)]
    try:
        return _made(package, device, chosen.engine, chosen.precision, tuple(notes))
    except RunFailed as error:
        if engine != "auto":
            raise
        return _made(package, device, "torch", "float32", (f"{chosen.engine} was not used: {error}",))


def _made(package: ModelPackage, device: str, engine: str, precision: str, notes: tuple[str, ...] = ()) -> Predictor:
    from .kinds import kind_of

    predictor = kind_of(engine).make(package, device, precision)
    predictor.notes = notes
    return predictor


def _statement(row: Row) -> str:
    """What a reduced precision was measured to change."""
    gate = row.gate
    assert gate is not None
    return (
        f"Computed in {row.precision}: on {gate.windows} {gate.probes} the largest difference from float32 was "
        f"{gate.error_maximum:.2%} of the output range, the 99.9th percentile {gate.error_percentile_99_9:.2%}, the "
        f"mean of a lesion-sized region changed by at most {gate.lesion_mean:.3%}, SSIM {gate.ssim:.4f}."
    )


def _refusal(row: Row) -> str:
    assert row.gate is not None
    return f"{row.precision} on {row.engine} was not used, because {row.gate.reason()}."
