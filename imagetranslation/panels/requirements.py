"""Which Python packages the worker needs beyond Slicer's own, and installing them without touching Slicer's. No widget.

Every package that the application has is pinned to its version in a constraints file, and pip's own plan (a dry run)
is read before anything is installed: an installation that would change a present package is refused. Torch comes
through the PyTorch extension, whose tool light-the-torch is pip with the index that fits the computer: its plan is read
in the same way.
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
TRANSLATION = "The translation"
# What the PyTorch extension installs beside torch.
TORCHVISION = "torchvision"


@dataclass(frozen=True)
class Need:
    """A package. minimum: least version. why: for the question. megabytes: about what is downloaded.

    module: what is imported, where it is not called as the package. replace: how an older one gives way.
    translating: whether a translation needs it, and not the export alone.
    """

    name: str
    minimum: str
    why: str
    megabytes: float
    module: str = ""
    replace: str = ""
    translating: bool = True

    @property
    def specifier(self) -> str:
        """As pip takes it."""
        return f"{self.name}>={self.minimum}"

    def too_old(self, version: str) -> str:
        """The sentence about a version below the minimum: what is there, what is needed, what to do."""
        way = self.replace or f'enter slicer.util.pip_uninstall("{self.name}") in the Python console'
        return (
            f"{self.name} {version} is installed and {self.minimum} or newer is needed: {way}, restart Slicer and "
            "press Install what is missing in the module's Installation section."
        )


# Sizes are of the wheels on the Python Package Index, rounded up; torch with CUDA libraries is far larger.
NEEDS = (
    Need(
        TORCH, "2.5", "runs the networks; comes through the PyTorch extension", 200,
        replace="press Uninstall in the PyTorch module (Utilities)",
    ),
    Need("safetensors", "0.4", "reads model weights, which cannot hold code", 0.6),
    Need("jsonschema", "4.20", "checks model packages (with attrs, referencing, rpds-py)", 1.2),
    Need("psutil", "5.9", "ends workers completely and watches the memory", 0.6),
    Need("Pillow", "10.4", "draws the mark into exported DICOM images", 7, module="PIL", translating=False),
)  # fmt: skip
TOOL = Need("light-the-torch", "0.5", "finds the torch that fits this computer", 0.1, module="light_the_torch")
_CUDA_MEGABYTES = 3000
_RUN_TOOL = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); "
    "runpy.run_module('light_the_torch', run_name='__main__', alter_sys=True)"
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


def outdated(have: dict[str, str], needs: Iterable[Need] = NEEDS) -> list[str]:
    """A sentence for each need that `have` holds in too old a version; pip may not replace it, a person must."""
    found = ((need, have.get(normalised(need.name))) for need in needs)
    return [need.too_old(version) for need, version in found if version and not _enough(version, need.minimum)]


def hindrance(needs: Iterable[Need] = NEEDS) -> str:
    """Why nothing can be translated yet, and what to do; empty when all is there. Quick: looks at the needs only."""
    wanted = [need for need in needs if need.translating]
    absent = [need.name for need in wanted if importlib.util.find_spec(need.module or need.name) is None]
    if absent:
        return (
            f"{', '.join(absent)} must be installed first: press Install what is missing in the module's "
            "Installation section."
        )
    return " ".join(outdated({normalised(n.name): v for n in wanted if (v := _version(n.name)) is not None}, wanted))


def constraints_text(have: dict[str, str]) -> str:
    """A pip constraints file that pins all that is present."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(have.items()))


def pip_arguments(needs: Iterable[Need], constraints: Path, wheels: Path | None = None) -> list[str]:
    """Arguments of `pip install`. wheels: a folder to install from instead of the network."""
    offline = ["--no-index", "--find-links", str(wheels)] if wheels is not None else []
    return ["--constraint", str(constraints), *offline, *(need.specifier for need in needs)]


def dry_run_arguments(needs: Iterable[Need], constraints: Path, report: Path, wheels: Path | None = None) -> list[str]:
    """Arguments of the Python that writes pip's plan to `report` and installs nothing."""
    return ["-m", "pip", *_planning(report), *pip_arguments(needs, constraints, wheels)]


def tool_arguments(folder: Path) -> list[str]:
    """Arguments of the Python that puts the tool into `folder`, beside and not into what the application has."""
    quiet = ["--no-deps", "--disable-pip-version-check"]
    return ["-m", "pip", "install", *quiet, "--target", str(folder), TOOL.specifier]


def torch_plan_arguments(needs: Iterable[Need], constraints: Path, report: Path, tool: Path) -> list[str]:
    """As `dry_run_arguments`, with torch from where the PyTorch extension takes it. tool: folder of the tool, used
    where the application has none."""
    return ["-c", _RUN_TOOL, str(tool), *_planning(report), *pip_arguments(needs, constraints), TORCHVISION]


def _planning(report: Path) -> list[str]:
    return ["install", "--dry-run", "--disable-pip-version-check", "--report", str(report)]


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


def question(needs: list[Need], plan: Plan, wheels: Path | None = None, purpose: str = TRANSLATION) -> str:
    """The one question: what, why, how large, from where. purpose: what needs them."""
    cuda = any(name.startswith("nvidia-") or "+cu" in version for name, version in plan.install)
    sizes = {need.name: _CUDA_MEGABYTES if cuda and need.name == TORCH else need.megabytes for need in needs}
    wanted = "\n".join(f"- {n.name} ({n.why}), about {sizes[n.name]:g} MB" for n in needs)
    names = ", ".join(f"{name} {version}" for name, version in plan.install)
    network = "from the Python Package Index"
    if any(need.name == TORCH for need in needs):
        network += " and, through the PyTorch extension, from download.pytorch.org"
    origin = f"from the folder {wheels}" if wheels is not None else network
    return (
        f"{purpose} needs Python packages that are not installed:\n{wanted}\n\nInstall {names} {origin} into "
        "Slicer's Python? No package that Slicer has is changed."
    )


def refusal(plan: Plan) -> str:
    """Why a plan is not carried out; empty when nothing speaks against it."""
    if not plan.changes:
        return ""
    changes = ", ".join(f"{name} {old} to {new}" for name, old, new in plan.changes)
    return f"Nothing was installed: pip would change packages that Slicer has ({changes})."


def altered(before: dict[str, str], after: dict[str, str]) -> str:
    """One sentence naming every package of `before` that is no longer what it was, with the way back; or ""."""
    changed = [(name, old, after.get(name)) for name, old in sorted(before.items()) if after.get(name) != old]
    if not changed:
        return ""
    names = ", ".join(f"{name} {old} {f'to {new}' if new else 'is gone'}" for name, old, new in changed)
    back = " ".join(f"{name}=={old}" for name, old, _ in changed)
    return (
        f"The installation changed packages that Slicer had ({names}): to put them back, enter "
        f'slicer.util.pip_install("{back}") in the Python console and restart Slicer.'
    )


def describe(report: dict[str, Any]) -> str:
    """The answer of the probe as lines for the Check installation text."""
    lines = [f"Python {report.get('python') or '?'} of the worker"]
    versions = report.get("versions", {})
    for name, version in versions.items():
        lines.append(f"{name} {version}" if version else f"{name} is missing")
    found = {normalised(n): v for n, v in versions.items() if v}
    lacking = missing(found)
    lines.extend(outdated(found))
    lines.extend(f"Device: {label}" for _, label in report.get("devices", []))
    if report.get("trouble") and versions.get(TORCH):
        lines.append(report["trouble"])
    lines.append("Everything needed is there." if not lacking and not report.get("trouble") else "Not ready.")
    return "\n".join(lines)


def normalised(name: str) -> str:
    """Package name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _enough(version: str | None, minimum: str) -> bool:
    return version is not None and _numbers(version) >= _numbers(minimum)


def _numbers(version: str) -> tuple[int, ...]:
    """Release numbers of a version: enough for minimum versions, and needs no package."""
    release = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(n) for n in release.group().split(".")) if release else ()
