"""Installing what is missing, step by step: pip's plan in a process, one question, pip, a new look. No widget.

`Installer` takes what it needs through its constructor; the application's parts are in `slicer_installer`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING

from ..errors import ImageTranslationError, InputError, RunFailed
from . import requirements
from .signal import Signal
from .workfolder import WorkFolder

if TYPE_CHECKING:
    from .process import WorkerProcess
    from .requirements import Need

NO_TORCH = (
    "torch is missing. Install the PyTorch extension in the Extensions Manager, restart Slicer and press Install "
    "again; or choose a folder of wheels that holds torch."
)
DECLINED = "Nothing was installed. Translating needs these packages; press Install when you want them."


class Installer:
    """One installation at a time.

    new_process: makes a WorkerProcess. ask(text) -> bool: the question to the person. pip(arguments): installs,
    CalledProcessError when that fails. torch() -> bool: installs torch through the PyTorch extension; false where
    that extension is absent or the person declined. folder: for temporary files.
    Signals: finished(sentence), failed(error): exactly one follows each `start`.
    """

    def __init__(
        self,
        new_process: Callable[[], WorkerProcess],
        ask: Callable[[str], bool],
        pip: Callable[[list[str]], None],
        torch: Callable[[], bool],
        folder: str | Path,
    ) -> None:
        self.finished, self.failed = Signal(), Signal()
        self._new_process, self._ask, self._pip, self._torch, self._base = new_process, ask, pip, torch, folder
        self._process: WorkerProcess | None = None
        self._folder: WorkFolder | None = None
        self._said = b""

    @property
    def busy(self) -> bool:
        """Whether an installation is under way."""
        return self._folder is not None

    def start(self, wheels: Path | None = None) -> None:
        """Install what is missing; wheels: from this folder instead of the network."""
        if self.busy:
            return
        have = requirements.present()
        needs = requirements.missing(have)
        if not needs:
            self.finished("Everything needed is there.")
            return
        if wheels is not None and not wheels.is_dir():
            self.failed(InputError(f"There is no folder {wheels}; choose the one that holds the wheels."))
            return
        if wheels is None and any(need.name == requirements.TORCH for need in needs):
            if not self._torch():
                self.failed(InputError(NO_TORCH))
                return
            have = requirements.present()
            needs = requirements.missing(have)
        if needs:
            self._plan(needs, have, wheels)
        else:
            self.finished("Everything needed is there.")

    def close(self) -> None:
        """End what runs."""
        process, self._process = self._process, None
        if process is not None:
            process.ended.disconnect()
            process.stop()
            process.wait()
        self._clear()

    def _plan(self, needs: list[Need], have: dict[str, str], wheels: Path | None) -> None:
        self._folder, self._said = WorkFolder(self._base), b""
        constraints, report = self._folder.path / "constraints.txt", self._folder.path / "plan.json"
        constraints.write_text(requirements.constraints_text(have), encoding="utf-8")
        process = self._process = self._new_process()
        process.errors.connect(self._on_errors)
        process.ended.connect(lambda code, crashed: self._on_planned(code, needs, have, wheels))
        process.start(requirements.dry_run_arguments(needs, constraints, report, wheels))

    def _on_errors(self, data: bytes) -> None:
        self._said += data

    def _on_planned(self, code: int, needs: list[Need], have: dict[str, str], wheels: Path | None) -> None:
        self._process = None
        assert self._folder is not None
        try:
            if code != 0:
                raise RunFailed(f"Nothing was installed: pip finds no way. {_last_line(self._said)}")
            plan = requirements.read_plan(self._folder.path / "plan.json", have)
            if sentence := requirements.refusal(plan):
                raise RunFailed(sentence)
            if not self._ask(requirements.question(needs, plan, wheels)):
                raise InputError(DECLINED)
            self._pip(requirements.pip_arguments(needs, self._folder.path / "constraints.txt", wheels))
        except ImageTranslationError as error:
            self._clear()
            self.failed(error)
        except CalledProcessError as error:
            self._clear()
            self.failed(RunFailed(f"pip failed with code {error.returncode}; its output is in the Python console."))
        else:
            self._clear()
            left = requirements.missing(requirements.present())
            names = ", ".join(need.name for need in left)
            self.finished(f"Still missing: {names}. Restart Slicer and check again." if left else "Installed.")

    def _clear(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.remove()


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
