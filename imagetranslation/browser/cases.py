"""What the viewer is given: named cases whose volumes are read when they are first shown.

No trame and no MRML here. How a case looks on the page is left to `viewstate` and `page`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath, PureWindowsPath

from ..deviationmaps import map_of
from ..errors import InputError
from ..provenance import Provenance, display_name
from ..volume import Volume

Source = Volume | Callable[[], Volume]
UNRECORDED = (
    "This file carries no record of the model that made it; it is shown as synthetic because it was given as such."
)


@dataclass(frozen=True)
class LoadedCase:
    """The volumes of one case; the synthetic one always has a provenance and lies on the source's grid."""

    name: str
    source: Volume
    synthetic: Volume
    reference: Volume | None
    uncertainty: Volume | None = None

    @property
    def provenance(self) -> Provenance:
        """The synthetic image's record."""
        if self.synthetic.provenance is None:
            raise ValueError(f"{self.name} was not made by Case.load")
        return self.synthetic.provenance

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences the reader should see: of the source, of the translation, of the reference; no repetition."""
        reference = self.reference.notes if self.reference is not None else ()
        return tuple(dict.fromkeys((*self.source.notes, *self.provenance.notes, *reference)))


@dataclass(frozen=True)
class Case:
    """A name to list and the volumes, or functions that read them.

    name: shown on the page; it should not name a patient. Functions are called each time the case is shown, so that
    a folder of a hundred cases does not lie in memory.
    """

    name: str
    source: Source
    synthetic: Source
    reference: Source | None = None
    uncertainty: Source | None = None

    def load(self) -> LoadedCase:
        """Read the volumes.

        Raises InputError where one cannot be read or the synthetic image is not on the source's grid. A synthetic
        image without a record is given an "unknown model" one, so that it stays marked; a source or reference that
        carries a record of synthesis is refused, because the page would call it real; an uncertainty map that belongs
        to another image is refused.
        """
        source, synthetic = _read(self.source), _read(self.synthetic)
        reference = None if self.reference is None else _read(self.reference)
        if synthetic.provenance is not None and synthetic.provenance.quantity is not None:
            raise InputError(f"{self.name}: {synthetic.name} is a map about an image; give the image itself.")
        if not synthetic.same_grid(source):
            raise InputError(f"{self.name}: the synthetic image is not on the grid of the source; translate it again.")
        for volume, role in ((source, "source"), (reference, "reference")):
            if volume is not None and volume.synthetic:
                raise InputError(f"{self.name}: the {role} is itself a synthetic image; choose a real one.")
        if synthetic.provenance is None:
            synthetic = replace(synthetic, provenance=_unknown(source, synthetic))
        elif not synthetic.modality:
            synthetic = replace(synthetic, modality=synthetic.provenance.modality)
        deviation = None if self.uncertainty is None else map_of(_read(self.uncertainty), synthetic)
        return LoadedCase(safe_name(self.name), source, synthetic, reference, deviation)


def safe_name(name: str) -> str:
    """The last part of a path, so that folders (which often name patients) are not shown; other names unchanged."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    return last or name


def matching(names: list[str], search: str) -> list[int]:
    """Indices of the names that contain every word of `search`, whatever their case; all of them for no words."""
    words = search.casefold().split()
    return [n for n, name in enumerate(names) if all(word in name.casefold() for word in words)]


def _read(given: Source) -> Volume:
    return given if isinstance(given, Volume) else given()


def _unknown(source: Volume, synthetic: Volume) -> Provenance:
    record = {"model": "unknown model", "modality": synthetic.modality or "image", "source": source.name}
    return Provenance.from_dict({**record, "notes": [UNRECORDED]})


def title(case: LoadedCase) -> str:
    """The synthetic volume's name as shown, beginning with the mark."""
    return display_name(case.provenance)
