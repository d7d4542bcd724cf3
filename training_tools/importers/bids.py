"""Pairs in a BIDS folder (Brain Imaging Data Structure, any organ): files of two suffixes in one session.

Names are read as BIDS writes them: entities such as `sub-01` and `acq-axial`, joined by underscores, then a suffix.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from imagetranslation.errors import InputError

from ..pairs import SUFFIXES, Listing, PairFiles
from .tables import read_table

Session = tuple[str, str]  # sub-..., and ses-... or ""


def list_bids(root: Path, suffixes: Mapping[str, str | None]) -> Listing:
    """One case a session that has both images; sessions that lack one are left out by name.

    suffixes: of source and target and, where wanted, source_label, target_label and lesion (on the source): the
    suffix, with entities in front where it alone does not tell files apart ("acq-axial_T2w"). Labels are also looked
    for below `derivatives`. Facts come from participants.tsv. Raises InputError where a session has several files of
    one kind, no session has both, or labels are asked for on one side.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder.")
    for part in ("source", "target"):
        if not suffixes.get(part):
            raise InputError(f"Say which files are the {part} with --{part}-suffix, such as T2w.")
    if bool(suffixes.get("source_label")) != bool(suffixes.get("target_label")):
        raise InputError("Give the suffixes of the labels of both sides, or of neither.")
    images, all_files = _files(root, ("sub-*",)), _files(root, ("sub-*", "derivatives/*/sub-*", "derivatives/sub-*"))
    if not images:
        raise InputError(f"{root} holds no image in folders called sub-...; is it a BIDS folder?")
    found = {
        part: _of_suffix(images if part in ("source", "target") else all_files, suffix)
        for part, suffix in suffixes.items()
        if suffix
    }
    known = _participants(root)
    pairs, left_out = [], {}
    for session in sorted({session for session, _ in images}):
        name = "_".join(part for part in session if part)
        own = {part: files.get(session) for part, files in found.items()}
        lacking = [part for part in ("source", "target") if own[part] is None]
        lesion = own.pop("lesion", None)
        if lacking:
            left_out[name] = f"it has no {' and no '.join(lacking)} image."
        elif (own.get("source_label") is None) != (own.get("target_label") is None):
            left_out[name] = "it has a label on one side only."
        else:
            facts = known.get(session[0], {})
            pairs.append(
                PairFiles(name, **own, lesions=(lesion,) if lesion else (), patient=session[0], facts=facts)  # type: ignore[arg-type]
            )
    if not pairs:
        raise InputError(
            f"No session of {root} has both a file *_{suffixes['source']} and a file *_{suffixes['target']}."
        )
    return Listing(pairs, left_out)


def _files(root: Path, below: tuple[str, ...]) -> list[tuple[Session, Path]]:
    found = []
    for pattern in below:
        for folder in sorted(root.glob(pattern)):
            for path in sorted(folder.rglob("sub-*_*")):
                entities = path.name.split("_")
                if path.is_file() and path.name.endswith(SUFFIXES):
                    session = next((entity for entity in entities if entity.startswith("ses-")), "")
                    found.append(((entities[0], session), path))
    return found


def _of_suffix(files: list[tuple[Session, Path]], wanted: str) -> dict[Session, Path]:
    *entities, suffix = wanted.split("_")
    found: dict[Session, list[Path]] = defaultdict(list)
    for session, path in files:
        ending = next(end for end in SUFFIXES if path.name.endswith(end))
        parts = path.name[: -len(ending)].split("_")
        if parts[-1] == suffix and set(entities) <= set(parts):
            found[session].append(path)
    for session, paths in found.items():
        if len(paths) > 1:
            raise InputError(
                f"{'_'.join(part for part in session if part)} has {len(paths)} files *_{wanted}: {paths[0].name} and "
                f"{paths[1].name}; say which with an entity, such as {paths[0].name.split('_')[-2]}_{suffix}."
            )
    return {session: paths[0] for session, paths in found.items()}


def _participants(root: Path) -> dict[str, dict[str, str]]:
    path = root / "participants.tsv"
    if not path.exists():
        return {}
    rows = read_table(path)
    if rows and "participant_id" not in rows[0]:
        raise InputError(f"{path} has no column participant_id.")
    return {
        row["participant_id"]: {key: value for key, value in row.items() if key != "participant_id" and value}
        for row in rows
    }
