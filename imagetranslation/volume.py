"""A volume: voxels plus the geometry that places them in the patient, and reading and writing it.

Arrays are indexed (slice k, row j, column i). Geometry is SimpleITK's: spacing and origin in millimetres ordered
(i, j, k), direction row-major with one column per axis, all in the patient's LPS frame. The work on files is done by
`formats` (NRRD, NIfTI, MetaImage in), `dicomio` (DICOM in) and `writing`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from .provenance import Provenance

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Volume:
    """Voxels and geometry.

    array: (k, j, i), real scalar type. spacing: mm, (i, j, k). origin: mm LPS, centre of voxel (0, 0, 0).
    direction: 9 numbers row-major; column n is the unit vector of axis n in LPS. name: shown to people, no path.
    modality: DICOM code ("US", "MR", "NM", "CT", "PT") or "" when unknown. field_of_view: bool (k, j, i), true
    where the scanner recorded something, or None for everywhere. notes: sentences a reader should see about how
    it was read. attributes: facts for provenance and derived DICOM (UIDs, window, original path).
    provenance: set exactly when the image is synthetic.
    """

    array: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = IDENTITY
    name: str = "volume"
    modality: str = ""
    field_of_view: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        if self.array.ndim != 3:
            raise ValueError(f"a volume has three axes (k, j, i); got {self.array.ndim}")

    @property
    def synthetic(self) -> bool:
        """Whether the image was made by a model."""
        return self.provenance is not None

    def with_array(self, array: np.ndarray, **changes: Any) -> Volume:
        """The same grid with other voxels; `array` must have the same shape (k, j, i)."""
        if array.shape != self.array.shape:
            raise ValueError(f"array shape {array.shape} is not the grid's {self.array.shape}")
        return replace(self, array=array, **changes)

    def same_grid(self, other: Volume, tolerance_mm: float = 1e-3) -> bool:
        """Whether both have the same size and every voxel centre agrees within `tolerance_mm`."""
        import numpy as np

        if self.array.shape != other.array.shape:
            return False
        return bool(np.abs(corner_points(self) - corner_points(other)).max() <= tolerance_mm)


def index_to_lps(volume: Volume) -> np.ndarray:
    """(4, 4) matrix from voxel index (i, j, k, 1) to patient LPS millimetres."""
    import numpy as np

    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(volume.direction, dtype=float).reshape(3, 3) * np.asarray(volume.spacing)
    matrix[:3, 3] = volume.origin
    return matrix


def corner_points(volume: Volume) -> np.ndarray:
    """(8, 3) LPS millimetres of the centres of the eight corner voxels."""
    import itertools

    import numpy as np

    k, j, i = (n - 1 for n in volume.array.shape)
    corners = np.array([(*c, 1) for c in itertools.product((0, i), (0, j), (0, k))], dtype=float)
    return (corners @ index_to_lps(volume).T)[:, :3]


def axis_codes(volume: Volume) -> str:
    """Three letters: the patient direction in which the index grows along axes i, j, k (nearest one for oblique).

    L/R left/right, P/A posterior/anterior, S/I superior/inferior; "LPS" for an identity direction. Each anatomical
    axis is used once: of all pairings the one with the largest total alignment.
    """
    import itertools

    import numpy as np

    direction = np.asarray(volume.direction, dtype=float).reshape(3, 3)
    best = max(itertools.permutations(range(3)), key=lambda p: sum(abs(direction[p[n], n]) for n in range(3)))
    return "".join(("LPS" if direction[best[n], n] >= 0 else "RAI")[best[n]] for n in range(3))


def check_usable(volume: Volume) -> None:
    """InputError with one sentence if the image cannot be translated: empty, NaN or infinite values, or constant."""
    import numpy as np

    array = volume.array
    if array.size == 0:
        raise InputError(f"{volume.name} has no voxels.")
    if array.dtype.kind == "f":
        bad = [(n, np.flatnonzero(~np.isfinite(plane))) for n, plane in enumerate(array)]
        bad = [(n, places) for n, places in bad if len(places)]
        if bad:
            count, k = sum(len(places) for _, places in bad), bad[0][0]
            j, i = divmod(int(bad[0][1][0]), array.shape[2])
            raise InputError(
                f"{volume.name} has {count} voxel{'s' if count > 1 else ''} that {'are' if count > 1 else 'is'} "
                f"NaN or infinite, the first in slice {k}, row {j}, column {i}; repair the image first."
            )
    if array.min() == array.max():
        raise InputError(
            f"{volume.name} is constant: every voxel is {array.flat[0]}, so there is nothing to translate."
        )


def read_volume(
    path: str | Path,
    *,
    series: str | None = None,
    frames_as_slices: float | None = None,
    component: int | str | None = None,
    mapped: bool = False,
) -> Volume:
    """Read an NRRD, NIfTI or MetaImage file, a DICOM file, or a folder with one DICOM series.

    series: which DICOM series of a folder (UID, its unique beginning or end, or its number in the list the error
    gives). frames_as_slices: take the frames of a cine as slices this many mm apart. component: which of several
    volumes, channels or planar views (0-based index, or a view's name). mapped: leave a large volume in its file
    where the format allows it, read-only (see `rawvoxels`: the file must stay as it is meanwhile). Raises InputError
    with one sentence for anything that is missing, damaged, hostile, ambiguous or not an image.
    """
    from .reading import read_path

    return read_path(Path(path), series=series, frames_as_slices=frames_as_slices, component=component, mapped=mapped)


def write_volume(volume: Volume, path: str | Path) -> Path:
    """Write by suffix (.nrrd .nhdr .nii .nii.gz .mha .mhd) and return the path.

    The file appears whole or not at all and was read back before; a synthetic image's provenance goes into the header
    and into `<stem>.json` beside it. NIfTI holds geometry as 32-bit floats, so a grid 300 mm from the scanner's centre
    keeps its place to about 2e-5 mm there; NRRD and MetaImage keep it exactly. Raises RunFailed or InputError.
    """
    from .writing import write_file

    return write_file(volume, Path(path))
