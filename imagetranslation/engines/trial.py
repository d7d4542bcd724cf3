"""Trying engines on a machine: start each, pass it through the gate, time it, keep the figures, and choose by them.

Figures are kept in the person's data folder for each model, device, machine, number of threads and set of installed
versions, and once there they stay: the same command chooses the same engine tomorrow. `imagetranslation engines
--measure` makes them anew. The choice itself is a function of the figures, `choose`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelRefused, RunFailed
from ..predictors import OutOfMemory, TorchPredictor
from . import gate, kinds, machine, records, workload
from .gate import Outcome
from .probes import probes_of

if TYPE_CHECKING:
    from ..models import ModelPackage
    from ..predictors import Predictor

# Raise it when figures of an older version no longer count.
VERSION = 1
# Another engine than plain torch in float32 must save this share of the time: less is noise, and one more part to fail.
WORTHWHILE = 0.1
# Seconds after which a trial starts nothing more, and seconds given to timing one engine.
BUDGET, TIMING = 20.0, 1.0


@dataclass(frozen=True)
class Row:
    """What was found for one engine and precision.

    start_s: seconds from nothing to the first result, ONNX export not counted. ms_per_batch: for `batch` windows.
    gate: None where it never ran. failed: why it could not run, in one sentence, or "".
    """

    engine: str
    precision: str
    start_s: float = 0.0
    ms_per_batch: float = 0.0
    batch: int = 0
    gate: Outcome | None = None
    failed: str = ""

    @property
    def usable(self) -> bool:
        """Whether it ran and passed the gate."""
        return not self.failed and self.gate is not None and self.gate.passed

    def seconds_for(self, windows: int) -> float:
        """Starting and running that many windows."""
        return self.start_s + self.ms_per_batch / 1000 * windows / max(1, self.batch)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        plain = {name: getattr(self, name) for name in ("engine", "precision", "start_s", "ms_per_batch", "batch")}
        return {**plain, "gate": self.gate and self.gate.to_dict(), "failed": self.failed}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Row:
        """From `to_dict`; KeyError, TypeError or ValueError for anything else."""
        found = mapping["gate"]
        return cls(
            str(mapping["engine"]),
            str(mapping["precision"]),
            float(mapping["start_s"]),
            float(mapping["ms_per_batch"]),
            int(mapping["batch"]),
            None if found is None else Outcome.from_dict(found),
            str(mapping["failed"]),
        )


class Trial:
    """The figures of one package on one device. say: told, in a few words, what is being tried."""

    def __init__(self, package: ModelPackage, device: str, say: Callable[[str], None] | None = None) -> None:
        self._package, self._device, self._say = package, device, say
        self._name = f"trial-{_key(package, device)}"
        self._probes: Any = None
        self._reference: Any = None
        self.rows, self.choices = _known(self._name)

    def row(self, engine: str, precision: str) -> Row:
        """The figures of one engine and precision, measured now where they are not known."""
        if (known := self.rows.get((engine, precision))) is not None:
            return known
        try:
            row = self._measured(kinds.kind_of(engine), precision)
        except OutOfMemory as error:  # says something about this hour, not about the engine: not kept
            return Row(engine, precision, failed=str(error))
        self._keep({(engine, precision): row}, {})
        return self.rows[engine, precision]

    def settle(self, engine: str, precision: str, budget: float = BUDGET) -> Row | None:
        """The choice for what was asked ("auto" or names): the one made before, or made now and kept.

        None where nothing usable was found, which is not kept. Nothing new is started after `budget` seconds.
        """
        asked = f"{engine}/{precision}"
        if (known := self.rows.get(self.choices.get(asked, ("", "")))) is not None and known.usable:
            return known
        began, rows = time.monotonic(), []
        for pair in candidates(self._package, self._device, engine, precision, slow=False):
            if pair in self.rows or time.monotonic() - began < budget:
                rows.append(self.row(*pair))
        chosen = choose(rows, workload.nominal_windows(self._package))
        if chosen is None:
            return None
        self._keep({}, {asked: (chosen.engine, chosen.precision)})
        return self.rows.get(self.choices[asked], chosen)

    def measure_all(self, slow: bool = True) -> None:
        """Measure every engine that can run here anew (slow: also those that start slowly) and choose again."""
        self.rows, self.choices = {}, {}
        records.write(self._name, {})
        for pair in candidates(self._package, self._device, "auto", "auto", slow):
            self.row(*pair)
        self.settle("auto", "auto")

    def _keep(self, rows: dict[tuple[str, str], Row], choices: dict[str, tuple[str, str]]) -> None:
        """Add to the record. What another process noted meanwhile stands, so that all choose alike."""
        other_rows, other_choices = _known(self._name)
        self.rows = {**self.rows, **rows, **other_rows}
        self.choices = {**self.choices, **choices, **other_choices}
        plain = {"rows": [row.to_dict() for row in self.rows.values()],
                 "choices": {asked: list(pair) for asked, pair in self.choices.items()}}  # fmt: skip
        records.write(self._name, {**plain, "model": self._package.id, "device": self._device})

    def _measured(self, kind: kinds.Kind, precision: str) -> Row:
        if self._say is not None:
            self._say(f"{kind.name} in {precision}")
        if lacking := kinds.missing(kind, self._package, self._device):
            return Row(kind.name, precision, failed=lacking)
        try:
            windows, reference = self._compared()
            self._export_ahead(kind)
            began = time.monotonic()
            predictor = kind.make(self._package, self._device, precision)
            made = predictor.predict(windows)
            started = time.monotonic() - began
            allowed = gate.tolerance(self._package, precision)
            outcome = gate.compare(reference, made, self._probes, allowed)
            batch, milliseconds = _timed(predictor, windows, workload.usual_batch(self._package, self._device))
        except OutOfMemory:
            raise
        except (RunFailed, ModelRefused) as error:  # plain torch has run the model: it is the engine that cannot
            if kind.name == "torch" and precision == "float32":
                raise
            return Row(kind.name, precision, failed=str(error))
        return Row(kind.name, precision, round(started, 3), round(milliseconds, 3), batch, outcome)

    def _compared(self) -> tuple[np.ndarray, np.ndarray]:
        """The probe windows and what plain torch makes of them in float32."""
        if self._probes is None:
            self._probes = probes_of(self._package)
            self._reference = TorchPredictor(self._package, self._device).predict(self._probes.windows)
        return self._probes.windows, self._reference

    def _export_ahead(self, kind: kinds.Kind) -> None:
        """Exporting is done once for all time, so that it does not count as starting."""
        if kind.name in ("onnx", "openvino"):
            from .exporting import onnx_bytes

            onnx_bytes(self._package)


def choose(rows: Iterable[Row], windows: int) -> Row | None:
    """The usable row that starts and runs `windows` quickest; the first one unless another saves a tenth of its time.

    None where no row is usable.
    """
    usable = [row for row in rows if row.usable]
    if not usable:
        return None
    quickest = min(usable, key=lambda row: row.seconds_for(windows))
    plain = usable[0]
    return quickest if quickest.seconds_for(windows) < (1 - WORTHWHILE) * plain.seconds_for(windows) else plain


def candidates(package: ModelPackage, device: str, engine: str, precision: str, slow: bool) -> list[tuple[str, str]]:
    """Engines and precisions to try for what was asked ("auto" or a name), torch in float32 first where it belongs.

    slow: also engines that take long to start.
    """
    pairs = []
    for kind in kinds.KINDS:
        asked = engine == kind.name
        if not asked and (engine != "auto" or not (kind.quick or slow)):
            continue
        if not asked and kinds.missing(kind, package, device):
            continue
        for option in kinds.worth_trying(kind, device) if precision == "auto" else (precision,):
            if option in kinds.precisions(kind, device):
                pairs.append((kind.name, option))
    return pairs


def _timed(predictor: Predictor, windows: np.ndarray, batch: int) -> tuple[int, float]:
    """Windows in the batch and the median milliseconds it takes; once where that already takes `TIMING` seconds."""
    filled = np.resize(windows, (batch, *windows.shape[1:]))
    times: list[float] = []
    predictor.predict(filled)
    while not times or (len(times) < 5 and sum(times) < TIMING):
        began = time.perf_counter()
        predictor.predict(filled)
        times.append(time.perf_counter() - began)
    return batch, statistics.median(times) * 1000


def _known(name: str) -> tuple[dict[tuple[str, str], Row], dict[str, tuple[str, str]]]:
    """The kept rows and choices; what cannot be read is measured anew."""
    record = records.read(name)
    rows: dict[tuple[str, str], Row] = {}
    choices: dict[str, tuple[str, str]] = {}
    kept, chosen = record.get("rows"), record.get("choices")
    for mapping in kept if isinstance(kept, list) else []:
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            row = Row.from_dict(mapping)
            rows[row.engine, row.precision] = row
    for asked, pair in chosen.items() if isinstance(chosen, dict) else []:
        with contextlib.suppress(TypeError, ValueError):
            engine, precision = map(str, pair)
            choices[asked] = (engine, precision)
    return rows, choices


def _key(package: ModelPackage, device: str) -> str:
    """Names everything the figures depend on: 24 letters."""
    described = {
        "version": VERSION,
        "weights": package.weights_sha256,
        "network": package.metadata["network"],
        "windows": [package.inputs["num_channels"], *package.inputs["patch_size"]],
        "inference": package.metadata["inference"],
        "device": device,
        "machine": machine.fingerprint(device),
        "versions": machine.versions(),
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:24]
