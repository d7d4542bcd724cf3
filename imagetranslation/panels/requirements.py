"""Which Python packages the worker needs beyond Slicer's own, and installing them without touching Slicer's. No widget.

Every package that the application has is pinned to its version in a constraints file, and pip's own plan (a dry run)
is read before anything is installed: an installation that would change a present package is refused.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError

TORCH = "torch"


@dataclass(frozen=True)
class Need:
    """A package. minimum: least version. why: for the question. megabytes: about what is downloaded."""

    name: str
    minimum: str
    why: str
    megabytes: float

    @property
    def specifier(self) -> str:
        """As pip takes it."""
        return f"{self.name}>={self.minimum}"


# Sizes are of the wheels on the Python Package Index, rounded up; torch with CUDA libraries is far larger.
NEEDS = (
    Need(TORCH, "2.5", "runs the networks; comes through the PyTorch extension", 200),
    Need("safetensors", "0.4", "reads model weights, which cannot hold code", 0.6),
    Need("jsonschema", "4.20", "checks model packages (with attrs, referencing, rpds-py)", 1.2),
    Need("psutil", "5.9", "ends workers completely and watches the memory", 0.6),
)


@dataclass(frozen=True)
class Plan:
    """What pip would do. install: (name, version) of what is new. changes: (name, present, new version)."""

    install: tuple[tuple[str, str], ...]
    changes: tuple[tuple[str, str, str], ...]


def present() -> dict[str, str]:
    """Version by normalised name of every package this Python has."""
    importlib.invalidate_caches()
    found: dict[str, str] = {}
    for package in importlib.metadata.distributions():
        name, version = package.metadata["Name"], package.version
        if name and version:
            # The first on the path is the one that is imported.
            found.setdefault(normalised(name), version)
    return found


def missing(have: dict[str, str], needs: Iterable[Need] = NEEDS) -> list[Need]:
    """The needs that `have` does not meet."""
    return [need for need in needs if not _enough(have.get(normalised(need.name)), need.minimum)]


def absent(needs: Iterable[Need] = NEEDS) -> list[str]:
    """Names of the needs that cannot be imported at all; quick, versions are not looked at."""
    return [need.name for need in needs if importlib.util.find_spec(need.name) is None]


def constraints_text(have: dict[str, str]) -> str:
    """A pip constraints file that pins all that is present."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(have.items()))


def pip_arguments(needs: Iterable[Need], constraints: Path, wheels: Path | None = None) -> list[str]:
    """Arguments of `pip install`. wheels: a folder to install from instead of the network."""
    offline = ["--no-index", "--find-links", str(wheels)] if wheels is not None else []
    return ["--constraint", str(constraints), *offline, *(need.specifier for need in needs)]


def dry_run_arguments(needs: Iterable[Need], constraints: Path, report: Path, wheels: Path | None = None) -> list[str]:
    """Arguments of the Python that writes pip's plan to `report` and installs nothing."""
    plan = ["-m", "pip", "install", "--dry-run", "--disable-pip-version-check", "--report", str(report)]
    return [*plan, *pip_arguments(needs, constraints, wheels)]


def read_plan(report: Path, have: dict[str, str]) -> Plan:
    """pip's report against what is present; InputError when it cannot be read."""
    try:
        entries = json.loads(report.read_text(encoding="utf-8"))["install"]
        planned = [(normalised(e["metadata"]["name"]), str(e["metadata"]["version"])) for e in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"pip's plan cannot be read ({error}); nothing was installed.") from error
    new = tuple((name, version) for name, version in planned if name not in have)
    changed = tuple((n, have[n], version) for n, version in planned if n in have and have[n] != version)
    return Plan(new, changed)


def question(needs: list[Need], plan: Plan, wheels: Path | None = None) -> str:
    """The one question: what, why, how large, from where."""
    wanted = "\n".join(f"- {n.name} ({n.why}), about {n.megabytes:g} MB" for n in needs)
    names = ", ".join(f"{name} {version}" for name, version in plan.install)
    origin = f"from the folder {wheels}" if wheels is not None else "from the Python Package Index"
    return (
        f"The translation needs Python packages that are not installed:\n{wanted}\n\nInstall {names} {origin} into "
        "Slicer's Python? No package that Slicer has is changed."
    )


def refusal(plan: Plan) -> str:
    """Why a plan is not carried out; empty when nothing speaks against it."""
    if not plan.changes:
        return ""
    changes = ", ".join(f"{name} {old} to {new}" for name, old, new in plan.changes)
    return f"Nothing was installed: pip would change packages that Slicer has ({changes})."


def describe(report: dict[str, Any]) -> str:
    """The answer of the probe as lines for the Check installation text."""
    lines = [f"Python {report.get('python') or '?'} of the worker"]
    versions = report.get("versions", {})
    for name, version in versions.items():
        lines.append(f"{name} {version}" if version else f"{name} is missing")
    lacking = missing({normalised(n): v for n, v in versions.items() if v})
    for need in lacking:
        if versions.get(need.name):
            lines.append(f"{need.name} {need.minimum} or newer is needed")
    lines.extend(f"Device: {label}" for _, label in report.get("devices", []))
    if report.get("trouble") and versions.get(TORCH):
        lines.append(report["trouble"])
    lines.append("Everything needed is there." if not lacking and not report.get("trouble") else "Not ready.")
    return "\n".join(lines)


def normalised(name: str) -> str:
    """Package name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _enough(version: str | None, minimum: str) -> bool:
    return version is not None and _numbers(version) >= _numbers(minimum)


def _numbers(version: str) -> tuple[int, ...]:
    """Release numbers of a version: enough for minimum versions, and needs no package."""
    release = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(n) for n in release.group().split(".")) if release else ()
