"""The sealed key of a study: which token is which image of which case. It never lies inside the readers' folder.

Tokens are HMACs under a random secret that exists in the key alone, so that nothing can be read from one or guessed.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import atomic_path, make_folder
from .definition import Study, read_document
from .schedule import PlannedTrial, Schedule, from_json, to_json

FOLDER, FILE = "key", "key.json"


@dataclass(frozen=True)
class Key:
    """build: id shared with the reading set made together. secret: hex. images: image name to what it is (case, arm
    or "source", and how it was prepared, see `blinding.prepared`)."""

    study: str
    version: int
    build: str
    secret: str
    schedule: Schedule
    images: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def trial_token(self, reader: str, position: int) -> str:
        """32 hex digits that stand for one trial of one reader."""
        return _token(self.secret, "trial", str(self.version), reader, str(position))

    def image_name(self, *what: str) -> str:
        """32 hex digits that name the file of one image."""
        return _token(self.secret, "image", str(self.version), *what)

    def reader_token(self, reader: str) -> str:
        """32 hex digits that open one reader's page of a hosted study."""
        return _token(self.secret, "reader", str(self.version), reader)

    @functools.cached_property
    def trials(self) -> dict[str, tuple[str, PlannedTrial]]:
        """Trial token to (reader, trial)."""
        return {
            self.trial_token(reader, trial.position): (reader, trial)
            for reader, row in self.schedule.rows.items()
            for trial in row
        }


def new_key(study: Study, schedule: Schedule) -> Key:
    """A key with a new secret."""
    return Key(study.id, study.version, secrets.token_hex(16), secrets.token_hex(32), schedule)


def save_key(key: Key, folder: Path, reading: Path) -> Path:
    """Write the key (mode 0600, in a folder of mode 0700); InputError where it would lie inside `reading`."""
    require_outside(folder, reading)
    make_folder(folder)
    folder.chmod(0o700)
    document = {
        "format_version": 1,
        "warning": "This file tells which image is which. It is not for readers; keep it until the analysis.",
        "study": key.study,
        "version": key.version,
        "build": key.build,
        "secret": key.secret,
        "schedule": to_json(key.schedule),
        "images": key.images,
    }
    with atomic_path(folder / FILE) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1, ensure_ascii=False)
            stream.write("\n")
    return folder / FILE


def require_outside(folder: Path, reading: Path) -> None:
    """InputError where the key's folder is the readers' folder or lies in it, also through links."""
    inside, outside = folder.resolve(), reading.resolve()
    if inside == outside or outside in inside.parents:
        raise InputError(f"The key may not lie in {reading}, which readers see; choose a folder beside it.")


def key_file(path: str | Path) -> Path:
    """The file of a key, given it, its folder or the study's folder; InputError where there is none."""
    given = Path(path)
    file = next((f for f in (given / FILE, given / FOLDER / FILE) if f.is_file()), given)
    if not file.is_file():
        raise InputError(f"There is no {FILE} in {given}; name the folder of the study's key with --key.")
    return file


def load_key(path: str | Path) -> Key:
    """Read a key (see `key_file`); InputError in one sentence where it is unsound."""
    file = key_file(path)
    made = read_document(file)
    try:
        schedule = from_json(made["schedule"])
        images = {str(name): dict(facts) for name, facts in made["images"].items()}
        return Key(str(made["study"]), int(made["version"]), str(made["build"]), str(made["secret"]), schedule, images)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{file} is not a sound key: {type(error).__name__} {error}.") from None


def _token(secret: str, *what: str) -> str:
    return hmac.new(bytes.fromhex(secret), "|".join(what).encode(), hashlib.sha256).hexdigest()[:32]
