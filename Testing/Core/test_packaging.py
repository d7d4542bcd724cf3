"""The pip package: everything the library opens at run time is in the wheel, and found again where pip puts it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tomllib


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy of the tracked files, so that the checkout stays as it is."""
    copy, target = tmp_path_factory.mktemp("source") / "copy", tmp_path_factory.mktemp("wheel")
    subprocess.run(["git", "clone", "-q", str(repository), str(copy)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(target), "."]
    subprocess.run(command, check=True, cwd=copy, capture_output=True)
    return zipfile.ZipFile(next(target.glob("*.whl")))


def test_the_wheel_holds_what_is_opened_at_run_time(wheel: zipfile.ZipFile, repository: Path) -> None:
    names = set(wheel.namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "imagetranslation", "training_tools"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    assert {name for name in tracked if name} - names == set()


def test_the_wheel_holds_the_shipped_models_and_the_list_of_samples(wheel: zipfile.ZipFile, repository: Path) -> None:
    prefix = next(name for name in wheel.namelist() if ".data/data/share/imagetranslation/" in name)
    root = prefix.split("share/imagetranslation/")[0] + "share/imagetranslation/"
    shipped = [path for path in (repository / "Resources" / "Models").rglob("*") if path.is_file()]
    assert shipped
    for path in [*shipped, repository / "Resources" / "SampleData.json"]:
        assert root + path.relative_to(repository / "Resources").as_posix() in wheel.namelist()


def test_the_installed_package_finds_its_model(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Laid out as pip does it: the package on the path, the data under the environment's prefix."""
    wheel.extractall(tmp_path)
    data = next(tmp_path.glob("*.data")) / "data"
    code = (
        "import sysconfig; from imagetranslation import models; print(models.__file__);"
        f"sysconfig.get_path = lambda name: {str(data)!r};"
        "print(models.verify(models.load_package('us2mri-pix2pix-small'))['path'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    package, model = ran.stdout.split()
    assert package.startswith(str(tmp_path))
    assert model.startswith(str(data))


def test_the_extras_bring_mirp_and_never_name_pyradiomics(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert set(extras) >= {"browser", "radiomics", "training"}
    assert any(line.startswith("mirp") for line in extras["radiomics"])
    everything = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    assert not [line for line in everything if "pyradiomics" in line.lower()]


def test_the_lock_pins_every_direct_dependency(repository: Path) -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(line for lines in project["optional-dependencies"].values() for line in lines),
    ]
    lines = (repository / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = [Requirement(line) for line in lines if line and not line.startswith("#")]
    pins = {requirement.name.lower().replace("_", "-"): str(requirement.specifier) for requirement in locked}
    assert all(pin.startswith("==") for pin in pins.values())
    for requirement in map(Requirement, wanted):
        pin = pins[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(pin.removeprefix("==")), requirement
