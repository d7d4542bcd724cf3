"""A small folder of the shape of TCIA's Prostate-MRI-US-Biopsy, made on the spot: no patient, ellipsoids for glands.

DICOM tree of the NBIA Data Retriever with metadata.csv, STL surfaces named by series, the two spreadsheets.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from scipy.ndimage import gaussian_filter

from Testing.Core.dicom_objects import US_CINE, image, save
from training_tools.importers.artemis import DIRECTION

VOXEL = 1.2  # mm, of the ultrasound cube
SIDES = (30, 28, 32)  # frames, rows, columns
SCAN = (16, 40, 44)  # slices, rows, columns of the MR
SCAN_SPACING = (3.0, 1.5, 1.5)  # mm along k, j, i
SCAN_ORIGIN = np.array([-31.0, -22.0, -20.0])
RADII = np.array([11.0, 8.0, 9.0])  # mm along L, P, S, as large in both
TARGET_RADII = np.array([3.5, 3.0, 3.5])


@dataclass(frozen=True)
class Truth:
    """Where things are, LPS mm: glands and the target's centre, in each series' frame, and the series."""

    sweep: str
    scan: str
    us_gland: np.ndarray
    mr_gland: np.ndarray
    us_target: np.ndarray
    mr_target: np.ndarray
    us_folder: Path


def ellipsoid(centre: np.ndarray, radii: np.ndarray, rings: int = 24) -> np.ndarray:
    """(triangles, 3, 3) of a closed ellipsoid."""
    polar, around = np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings + 1)
    p, a = np.meshgrid(polar, around, indexing="ij")
    points = centre + radii * np.stack([np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p)], axis=-1)
    points[:, -1] = points[:, 0]
    points[0], points[-1] = points[0, 0], points[-1, 0]
    one, two, three, four = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    return np.concatenate([np.stack(t, axis=-2).reshape(-1, 3, 3) for t in ((one, two, three), (one, three, four))])


def write_surface(path: Path, triangles: np.ndarray, text: bool = False) -> Path:
    """A binary or text STL file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if text:
        facets = "".join(
            "facet normal 0 0 0\n outer loop\n"
            + "".join(f"  vertex {x:.6e} {y:.6e} {z:.6e}\n" for x, y, z in corners)
            + " endloop\nendfacet\n"
            for corners in triangles
        )
        path.write_text(f"solid made\n{facets}endsolid made\n")
        return path
    facets = np.zeros(len(triangles), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    facets["corners"] = triangles
    path.write_bytes(b"made".ljust(80) + len(triangles).to_bytes(4, "little") + facets.tobytes())
    return path


def write_collection(root: Path, patients: int = 2, sheets: str = "csv") -> dict[str, Truth]:
    """The whole folder; returns what is true of each patient, by name. sheets: "csv", "xlsx" or "" for none."""
    rows, targets, cores, truths = [], [], [], {}
    for number in range(1, patients + 1):
        name = f"Prostate-MRI-US-Biopsy-{number:04d}"
        truth = _patient(root, name, np.random.default_rng(number))
        truths[name] = truth
        for uid, modality, folder in ((truth.sweep, "US", "us"), (truth.scan, "MR", "t2")):
            # The retriever on Windows writes backslashes.
            place = f".\\Prostate-MRI-US-Biopsy\\{name}\\study\\{folder}"
            rows.append({"Series UID": uid, "Subject ID": name, "Modality": modality, "File Location": place})
        targets.append({
            "Patient ID": name, "seriesInstanceUID_MR": truth.scan, "seriesInstanceUID_US": truth.sweep,
            "Target No.": "1", "UCLA Score (Similar to PIRADS v2)": str(3 + number % 3), "ROI Volume (cc)": "0.2",
        })  # fmt: skip
        for primary, secondary, middle in (("3", "4", truth.mr_target), ("", "", truth.mr_gland - np.array([9, 0, 0]))):
            core = {"Patient Number": name, "Series Instance UID (MRI)": truth.scan, "PSA (ng/mL)": "6.5"}
            core.update({"Series Instance UID (US)": truth.sweep, "Primary Gleason": primary})
            core["Secondary Gleason"] = secondary
            for end, step in (("Tip", -8.0), ("Base", 8.0)):
                for axis, value in zip("XYZ", middle + np.array([0, step, 0])):
                    core[f"Bx {end} {axis} (MRI Coord)"] = f"{value:.3f}"
            cores.append(core)
        # A core whose place is not known, as many in the collection.
        cores.append({**cores[-2], **{key: "-1000" for key in cores[-2] if key.startswith("Bx")}})
    write_table(root / "manifest-1" / "metadata.csv", rows)
    if sheets:
        write_table(root / f"Target-Data_2019-12-05.{sheets}", targets)
        write_table(root / f"TCIA-Biopsy-Data_2020-07-14.{sheets}", cores)
    return truths


def write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    """A CSV or, by its suffix, an Excel file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        book.active.append(list(rows[0]))
        for row in rows:
            book.active.append([float(v) if v.replace(".", "", 1).lstrip("-").isdecimal() else v for v in row.values()])
        book.save(path)
        return path
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _patient(root: Path, name: str, random: np.random.Generator) -> Truth:
    folder = root / "manifest-1" / "Prostate-MRI-US-Biopsy" / name / "study"
    us_gland, mr_gland = random.uniform(-2, 2, 3), np.array([2.0, 8.0, 2.0]) + random.uniform(-2, 2, 3)
    offset = np.array([5.0, 1.0, -2.0])
    truth = Truth(
        generate_uid(), generate_uid(), us_gland, mr_gland, us_gland + offset, mr_gland + offset, folder / "us"
    )
    _write_sweep(truth, name, random)
    _write_scan(truth, name, folder / "t2", random)
    surfaces = root / "PKG - Prostate-MRI-US-Biopsy-STL" / "STLs"
    for uid, gland, target in (
        (truth.sweep, truth.us_gland, truth.us_target),
        (truth.scan, truth.mr_gland, truth.mr_target),
    ):
        write_surface(surfaces / f"{name}-ProstateSurface-seriesUID-{uid}.STL", ellipsoid(gland, RADII))
        write_surface(surfaces / f"{name}-Target1-seriesUID-{uid}.STL", ellipsoid(target, TARGET_RADII))
    return truth


def _picture(places: np.ndarray, gland: np.ndarray, target: np.ndarray, values: tuple[int, int, int]) -> np.ndarray:
    inside = (((places - gland) / RADII) ** 2).sum(axis=-1) < 1
    lesion = (((places - target) / TARGET_RADII) ** 2).sum(axis=-1) < 1
    return np.where(lesion, values[2], np.where(inside, values[1], values[0])).astype(np.float32)


def _write_sweep(truth: Truth, name: str, random: np.random.Generator) -> None:
    """The cube as the Artemis system writes it: no positions, the size of a voxel in PixelAspectRatio."""
    index = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SIDES), indexing="ij")[::-1], axis=-1) * VOXEL
    places = index @ np.reshape(DIRECTION, (3, 3)).T
    array = _picture(places, truth.us_gland, truth.us_target, (140, 80, 50)) + random.uniform(0, 30, SIDES)
    tags = {"Manufacturer": "Eigen", "ManufacturerModelName": "Artemis", "PatientID": name}
    dataset = image(gaussian_filter(array, 0.7).astype(np.uint8), US_CINE, "US", truth.sweep, **tags)
    dataset.PixelAspectRatio = [round(VOXEL * 1000)] * 2
    save(dataset, truth.us_folder / "1-1.dcm")


def _write_scan(truth: Truth, name: str, folder: Path, random: np.random.Generator) -> None:
    steps = [np.arange(n) * step for n, step in zip(SCAN, SCAN_SPACING)]
    places = np.stack(np.meshgrid(*steps, indexing="ij")[::-1], axis=-1) + SCAN_ORIGIN
    array = _picture(places, truth.mr_gland, truth.mr_target, (60, 200, 90)) + random.uniform(0, 20, SCAN)
    for number, plane in enumerate(array.astype(np.uint16)):
        dataset: Dataset = image(plane, "1.2.840.10008.5.1.4.1.1.4", "MR", truth.scan, InstanceNumber=number + 1)
        dataset.PatientID, dataset.SeriesDescription = name, "t2_spc_rst_axial"
        dataset.Manufacturer, dataset.ManufacturerModelName = "SIEMENS", "Skyra"
        dataset.ImagePositionPatient = [*SCAN_ORIGIN[:2].tolist(), float(SCAN_ORIGIN[2] + 3 * number)]
        dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [1.5, 1.5]
        dataset.SliceThickness = 3
        save(dataset, folder / f"1-{number + 1:02d}.dcm")
