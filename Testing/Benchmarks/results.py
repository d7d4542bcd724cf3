"""A row of results, the machine it was measured on, and the two files that keep them. Measures nothing."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16")
# Above this load a core, what else runs on the machine shows in the times.
QUIET_LOAD = 0.25


class NotMeasured(Exception):
    """This machine cannot run the benchmark; the sentence says what is missing."""


@dataclass(frozen=True)
class Row:
    """One result. row: its name. ours, theirs: medians in `unit`; theirs is None where nothing is compared with.

    goal: what is to be reached, in words ("ratio <= 1.15"). note: what was measured, and against what.
    """

    row: str
    ours: float
    theirs: float | None
    goal: str
    unit: str
    note: str

    @property
    def ratio(self) -> float | None:
        """ours / theirs."""
        return None if not self.theirs else round(self.ours / self.theirs, 3)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in results.json."""
        plain = asdict(self)
        return {**{k: plain[k] for k in ("row", "ours", "theirs")}, "ratio": self.ratio,
                **{k: plain[k] for k in ("goal", "unit", "note")}}  # fmt: skip


def machine() -> str:
    """One line: processor, cores, features, memory, system, Python, torch, date, and whether other work was running."""
    import psutil
    import torch

    name, flags = _processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    parts = [
        name,
        f"{cores} core{'s' if cores > 1 else ''}",
        " ".join(flag for flag in FEATURES if flag in flags) or "no features known",
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        f"{platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}",
        f"torch {torch.__version__}, {torch.get_num_threads()} threads",
        date.today().isoformat(),
    ]
    if load > QUIET_LOAD * cores:
        parts.append(f"measured on a machine shared with other work (load {load:.1f} at the start)")
    return ", ".join(parts)


def merge(folder: Path, rows: list[Row], measured_on: str) -> list[dict[str, Any]]:
    """Put rows into results.json, each in the place of an older one of its name, and write RESULTS.md anew.

    Returns all rows. Each carries its machine, because a run may measure only some of them.
    """
    path = folder / "results.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    entries = {entry["row"]: entry for entry in known}
    entries.update({row.row: {**row.to_dict(), "machine": measured_on} for row in rows})
    merged = list(entries.values())
    _write(path, json.dumps(merged, indent=1, ensure_ascii=False) + "\n")
    _write(folder / "RESULTS.md", readable(merged))
    return merged


def readable(entries: list[dict[str, Any]]) -> str:
    """The Markdown page of all rows, one table a machine."""
    lines = ["# Benchmarks", "", "Written by `make bench` (`make bench ROWS=a,b` renews some rows).", ""]
    for measured_on in dict.fromkeys(entry["machine"] for entry in entries):
        lines += [f"**Machine:** {measured_on}.", ""]
        lines += ["| row | ours | theirs | ratio | goal | what |", "|---|---|---|---|---|---|"]
        lines += [_line(entry) for entry in entries if entry["machine"] == measured_on]
        lines.append("")
    return "\n".join(lines)


def _line(entry: dict[str, Any]) -> str:
    theirs = "" if entry["theirs"] is None else f"{entry['theirs']:.4g} {entry['unit']}"
    ratio = "" if entry["ratio"] is None else f"{entry['ratio']:.3g}"
    ours = f"{entry['ours']:.4g} {entry['unit']}"
    return f"| {entry['row']} | {ours} | {theirs} | {ratio} | {entry['goal']} | {entry['note']} |"


def _processor() -> tuple[str, set[str]]:
    """Model name and feature flags, where the system tells them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown processor", set()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    flags = facts.get("flags") or facts.get("Features") or ""
    return facts.get("model name", platform.processor() or "unknown processor"), set(flags.split())


def _write(path: Path, text: str) -> None:
    from imagetranslation.files import write_text

    write_text(path, text)
