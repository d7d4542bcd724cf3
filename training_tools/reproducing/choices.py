"""What a study was begun with: task, data, sizes; kept in `reproduction.json`, so that no folder holds two studies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetranslation import __version__
from imagetranslation.errors import InputError
from imagetranslation.files import make_folder, write_text

from ..benchmarking.entries import TASKS, entries, preset
from . import data, possible
from .sizes import Sizes
from .stamps import plain

BEGUN = "reproduction.json"


@dataclass(frozen=True)
class Choices:
    """What a person asked for. data: a folder, or "phantom". more: options for `prepare`. workers: processes for what
    is done case by case; scheduler: address of a Dask scheduler for the networks and the features. Neither changes a
    result. positive: the label that classification looks for; "" where the labels say it themselves. alike: how much
    scans of two patients may correlate (`leaks`); None for the usual.
    """

    task: str
    data: str
    output: Path
    quick: bool
    sizes: Sizes
    workers: int
    more: tuple[str, ...] = ()
    scheduler: str = ""
    positive: str = ""
    alike: float | None = None

    @property
    def simulated(self) -> bool:
        """Whether the data are the simulator's."""
        return self.data == data.PHANTOM

    @property
    def patients(self) -> int:
        """How many there are, once they are prepared; before that as many as a study of this size has."""
        path = self.place("prepared") / data.ABOUT
        return int(data.read(path.parent)["patients"]) if path.exists() else self.sizes.patients

    def place(self, step: str) -> Path:
        """Folder of a step."""
        return self.output / step

    def cases(self) -> Path:
        """Folder of the prepared cases, once the first step is done."""
        return data.cases_folder(self.place("prepared"))

    def record(self) -> dict[str, Any]:
        """What must be the same when the command is given again (the label looked for is its step's)."""
        where = self.data if self.simulated else str(Path(self.data).resolve())
        return plain(
            {
                "task": self.task, "data": where, "quick": self.quick, "sizes": self.sizes.record(),
                "options_of_prepare": list(self.more), "alike": self.alike, "software": __version__,
                "files_of_the_data": data.listing(self.data, self.more, self.output),
            }
        )  # fmt: skip


def begin(choices: Choices) -> None:
    """Write what the study is begun with, or hold it against what stands there. InputError where it differs.

    Choices of which no study can be made are refused before anything is written, and a folder in which nothing was made
    yet takes other ones.
    """
    require_possible(choices)
    path, wanted = make_folder(choices.output) / BEGUN, choices.record()
    if path.exists() and not _anything_made(choices.output):
        path.unlink()
    if not path.exists():
        if others := sorted(p.name for p in choices.output.iterdir() if not _ours(p)):
            raise InputError(f"{choices.output} holds other files ({others[0]}); choose an empty folder with -o.")
        write_text(path, json.dumps(wanted, indent=1) + "\n")
        return
    there = begun_with(choices.output)
    if there.get("files_of_the_data") != wanted["files_of_the_data"] and there.get("data") == wanted["data"]:
        raise InputError(
            f"Files in {choices.data} have changed since {choices.output} was begun (of prepared cases "
            "their content, of others their number, sizes or times). Put them back, or choose an empty folder "
            "with -o."
        )
    flat_then, flat_now = (_flat(record) for record in (there, wanted))
    for key in flat_now:
        if flat_then.get(key) != flat_now[key]:
            raise InputError(
                f"{choices.output} was begun with {key} {flat_then.get(key)}, not {flat_now[key]}. Go on with the old "
                "options, or choose an empty folder with -o."
            )


def require_possible(choices: Choices) -> None:
    """InputError for an unknown task, preset or network, and for data that nothing can be made of."""
    if choices.task not in TASKS:
        raise InputError(f"There is no study {choices.task!r}; there are {' and '.join(TASKS)}.")
    preset(choices.task, choices.sizes.preset)
    known = {name for name, path in entries(choices.task).items() if path is not None}
    if unknown := [name for name in choices.sizes.only if name not in known]:
        raise InputError(
            f"--only {unknown[0]}: no network that {choices.task} can run; there are {', '.join(sorted(known))}."
        )
    if not choices.simulated and data.arguments_for(Path(choices.data), choices.task, choices.more) is None:
        possible.require(Path(choices.data), choices.task, choices.sizes, choices.positive)


def begun_with(output: Path) -> dict[str, Any]:
    """What a study was begun with, as it was written then."""
    path = output / BEGUN
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged; choose an empty folder with -o.") from error


def _anything_made(output: Path) -> bool:
    return any(path.is_file() for place in output.iterdir() if not _ours(place) for path in [place, *place.rglob("*")])


def _ours(path: Path) -> bool:
    """Whether a file or folder holds no result: what a run leaves behind that was refused or stopped at once."""
    return path.name.startswith(".") or path.name in (BEGUN, "reproduce.lock", "logs") or (
        path.is_dir() and not any(path.iterdir())
    )  # fmt: skip


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    sizes = record.get("sizes")
    return {**{k: v for k, v in record.items() if k != "sizes"}, **(sizes if isinstance(sizes, dict) else {})}
