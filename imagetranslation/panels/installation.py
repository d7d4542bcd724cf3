"""Installing what is missing, step by step: pip's plan in a process, one question, pip, a new look. No widget.

`Installer` takes what it needs through its constructor; the application's parts are in `slicer_installer`. What is
needed, what a plan says and what has changed is `requirements`' matter.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Protocol

from ..errors import ImageTranslationError, InputError, RunFailed
from . import requirements
from .signal import Signal
from .workfolder import WorkFolder

if TYPE_CHECKING:
    from .protocols import WorkerProcess
    from .requirements import Need, Plan

NO_TORCH = (
    "torch is missing. Install the PyTorch extension in the Extensions Manager, restart Slicer and press Install "
    "again; or choose a folder of wheels that holds torch."
)
DECLINED = "Nothing was installed. {purpose} needs these packages; press Install when you want them."


class TorchExtension(Protocol):
    """The PyTorch extension."""

    def present(self) -> bool:
        """Whether the application has it."""

    def install(self, constraints: Path) -> None:
        """Install torch without a further question, every pip kept to `constraints`; raises what went wrong."""


@dataclass
class _Order:
    """One installation. torch: through the PyTorch extension."""

    needs: list[Need]
    have: dict[str, str]
    wheels: Path | None
    torch: bool
    folder: WorkFolder

    @property
    def constraints(self) -> Path:
        return self.folder.path / "constraints.txt"

    @property
    def report(self) -> Path:
        return self.folder.path / "plan.json"

    @property
    def tool(self) -> Path:
        return self.folder.path / "tool"


class Installer:
    """One installation at a time.

    new_process: makes a WorkerProcess. ask(text) -> bool: the question to the person. pip(arguments): installs,
    CalledProcessError when that fails. torch: the PyTorch extension. folder: for temporary files. needs: what is
    installed. purpose: what needs it, for the question.
    Signals: finished(sentence), failed(error): exactly one follows each `start`.
    """

    def __init__(
        self,
        new_process: Callable[[], WorkerProcess],
        ask: Callable[[str], bool],
        pip: Callable[[list[str]], None],
        torch: TorchExtension,
        folder: str | Path,
        needs: Sequence[Need] = requirements.NEEDS,
        purpose: str = requirements.TRANSLATION,
    ) -> None:
        self.finished, self.failed = Signal(), Signal()
        self._needs, self._purpose = needs, purpose
        self._new_process, self._ask, self._pip, self._torch, self._base = new_process, ask, pip, torch, folder
        self._process: WorkerProcess | None = None
        self._order: _Order | None = None
        self._said = b""

    @property
    def busy(self) -> bool:
        """Whether an installation is under way."""
        return self._order is not None

    def start(self, wheels: Path | None = None) -> None:
        """Install what is missing; wheels: from this folder instead of the network."""
        if self.busy:
            return
        have = requirements.present()
        needs = requirements.missing(have, self._needs)
        torch = wheels is None and any(need.name == requirements.TORCH for need in needs)
        if not needs:
            self.finished("Everything needed is there.")
        elif old := requirements.outdated(have, self._needs):
            self.failed(InputError(" ".join(old)))
        elif wheels is not None and not wheels.is_dir():
            self.failed(InputError(f"There is no folder {wheels}; choose the one that holds the wheels."))
        elif torch and not self._torch.present():
            self.failed(InputError(NO_TORCH))
        else:
            self._begin(_Order(needs, have, wheels, torch, WorkFolder(self._base)))

    def close(self) -> None:
        """End what runs."""
        process, self._process = self._process, None
        if process is not None:
            process.ended.disconnect()
            process.stop()
            process.wait()
        self._clear()

    def _begin(self, order: _Order) -> None:
        self._order = order
        order.constraints.write_text(requirements.constraints_text(order.have), encoding="utf-8")
        if order.torch and requirements.missing(order.have, [requirements.TOOL]):
            order.needs.append(requirements.TOOL)
            self._run(requirements.tool_arguments(order.tool), self._plan)
        else:
            self._plan(order)

    def _plan(self, order: _Order) -> None:
        if order.torch:
            # By its metadata pip would take the fetched tool for installed, and leave it out of the plan.
            for metadata in order.tool.glob("*.dist-info"):
                shutil.rmtree(metadata)
            needs = order.needs
            plan = requirements.torch_plan_arguments(needs, order.constraints, order.report, order.tool)
        else:
            plan = requirements.dry_run_arguments(order.needs, order.constraints, order.report, order.wheels)
        self._run(plan, self._planned)

    def _run(self, arguments: list[str], then: Callable[[_Order], None]) -> None:
        """Run Python, and go on when that went well."""
        self._said = b""
        process = self._process = self._new_process()
        process.errors.connect(self._on_errors)
        process.ended.connect(lambda code, crashed: self._on_ended(code, then))
        process.start(arguments)

    def _on_errors(self, data: bytes) -> None:
        self._said += data

    def _on_ended(self, code: int, then: Callable[[_Order], None]) -> None:
        self._process = None
        assert self._order is not None
        if code != 0:
            self._end(RunFailed(f"Nothing was installed: pip finds no way. {_last_line(self._said)}"))
            return
        then(self._order)

    def _planned(self, order: _Order) -> None:
        try:
            plan = requirements.read_plan(order.report, order.have)
            if sentence := requirements.refusal(plan):
                raise RunFailed(sentence)
            if not self._ask(requirements.question(order.needs, plan, order.wheels, self._purpose)):
                raise InputError(DECLINED.format(purpose=self._purpose))
        except ImageTranslationError as error:
            self._end(error)
        else:
            self._install(order, plan)

    def _install(self, order: _Order, plan: Plan) -> None:
        # What was planned is pinned as well: pip may come to nothing else than what the person agreed to.
        pinned = {**order.have, **dict(plan.install)}
        order.constraints.write_text(requirements.constraints_text(pinned), encoding="utf-8")
        error: ImageTranslationError | None = None
        try:
            by_pip = [need for need in order.needs if not (order.torch and need.name == requirements.TORCH)]
            if by_pip:
                self._pip(requirements.pip_arguments(by_pip, order.constraints, order.wheels))
            if order.torch:
                self._torch.install(order.constraints)
        except CalledProcessError as failure:
            error = RunFailed(f"pip failed with code {failure.returncode}; its output is in the Python console.")
        except Exception as failure:  # noqa: BLE001  the extension is not ours: whatever it raises, the panel goes on
            error = RunFailed(f"The PyTorch extension failed: {failure}.")
        after = requirements.present()
        if sentence := requirements.altered(order.have, after):
            error = RunFailed(sentence)
        self._end(error, requirements.missing(after, self._needs))

    def _end(self, error: ImageTranslationError | None, left: list[Need] | None = None) -> None:
        self._clear()
        if error is not None:
            self.failed(error)
            return
        names = ", ".join(need.name for need in left or [])
        self.finished(f"Still missing: {names}. Restart Slicer and check again." if names else "Installed.")

    def _clear(self) -> None:
        order, self._order = self._order, None
        if order is not None:
            order.folder.remove()


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
