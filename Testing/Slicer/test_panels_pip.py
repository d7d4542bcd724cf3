"""An installation by a real pip in a Python of its own: what is planned, asked and kept. Nothing comes from a network.

The wheels are empty. light-the-torch is here what it is in truth, pip under another name; only its index is the folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
import zipfile
from subprocess import CalledProcessError

import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from imagetranslation.panels import requirements  # noqa: E402
from imagetranslation.panels.installation import Installer  # noqa: E402
from imagetranslation.panels.signal import Signal  # noqa: E402

VERSIONS = (
    "import importlib.metadata as m, json; print(json.dumps({d.metadata['Name'].lower(): d.version for d in "
    "m.distributions()}))"
)
PIP_BY_ANOTHER_NAME = "import sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"
OTHERS = {"safetensors": "0.5.0", "jsonschema": "4.23.0", "psutil": "7.0.0", "pillow": "12.2.0"}


def write_wheel(folder, name, version, needs=(), files=None):
    stem = name.replace("-", "_")
    facts = "".join(f"Requires-Dist: {need}\n" for need in needs)
    info = f"{stem}-{version}.dist-info"
    content = {
        **(files or {f"{stem}.py": ""}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{facts}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{stem}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**content, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)


class PythonOfItsOwn:
    """A Python beside the one that runs the test, with the packages of an application."""

    def __init__(self, folder):
        # With a space in its name, as a person's temporary folder on Windows may have.
        self.folder, self.wheels = folder / "a person", folder / "wheels"
        self.wheels.mkdir()
        subprocess.run([sys.executable, "-m", "venv", str(self.folder)], check=True)
        self.program = self.folder / "bin" / "python"
        for number in ("1.26.4", "2.5.0"):
            write_wheel(self.wheels, "numpy", number)
        for name, version in OTHERS.items():
            write_wheel(self.wheels, name, version)
        write_wheel(self.wheels, "torchvision", "0.24.0", ["torch"])
        tool = {"light_the_torch/__init__.py": "", "light_the_torch/__main__.py": PIP_BY_ANOTHER_NAME}
        write_wheel(self.wheels, requirements.TOOL.name, "0.8.1", files=tool)
        self.run(["-m", "pip", "install", "numpy==1.26.4"])

    def run(self, arguments):
        done = subprocess.run([str(self.program), *arguments], capture_output=True, text=True, check=False, cwd="/")
        if done.returncode:
            raise CalledProcessError(done.returncode, arguments, done.stdout, done.stderr)
        return done.stdout

    def present(self):
        return {requirements.normalised(n): v for n, v in json.loads(self.run(["-c", VERSIONS])).items()}


class Process:
    """A WorkerProcess in that Python, waited for."""

    def __init__(self, python):
        self.output, self.errors, self.ended, self._python = Signal(), Signal(), Signal(), python

    def start(self, arguments):
        try:
            self._python.run(arguments)
        except CalledProcessError as error:
            self.errors(error.stderr.encode())
            self.ended(error.returncode, False)
        else:
            self.ended(0, False)

    def stop(self):
        pass

    def wait(self):
        pass


@pytest.fixture
def python(tmp_path, monkeypatch, a_slicer_app):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    python = PythonOfItsOwn(tmp_path)
    monkeypatch.setattr(requirements, "present", python.present)
    return python


class Heard:
    """The installer, with the PyTorch extension's way of installing torch, and what it said."""

    def __init__(self, python, ask=lambda text: True):
        from imagetranslation.panels import installing

        self.questions, self.said, self.errors = [], [], []

        def asked(text):
            self.questions.append(text)
            return ask(text)

        def pip(arguments):
            python.run(["-m", "pip", "install", *arguments])

        folder = python.folder / "temporary files"
        folder.mkdir()
        extension = installing._PyTorchExtension()
        self.installer = Installer(lambda: Process(python), asked, pip, extension, folder)
        self.installer.finished.connect(self.said.append)
        self.installer.failed.connect(lambda error: self.errors.append(str(error)))


@pytest.fixture
def the_extension(python, monkeypatch):
    """PyTorchUtils as far as it is used: it runs its tool on torch and torchvision, with no word about constraints."""

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation=False):
            assert not askConfirmation, "the one question was asked"
            python.run(["-m", "light_the_torch", "install", "torch", "torchvision"])

    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    module.__spec__ = types.SimpleNamespace(name="PyTorchUtils")
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)


def test_torch_and_the_rest_are_installed_as_planned_and_numpy_stays(python, the_extension):
    write_wheel(python.wheels, "torch", "2.9.0", ["numpy"])

    def agree_while_the_index_changes(text):
        write_wheel(python.wheels, "torch", "3.0.0", ["numpy>=2"])
        return True

    heard = Heard(python, agree_while_the_index_changes)
    heard.installer.start()
    assert heard.errors == []
    assert heard.said == ["Installed."]
    for fact in ("torch 2.9.0", "torchvision 0.24.0", "light-the-torch 0.8.1", "safetensors 0.5.0"):
        assert fact in heard.questions[0]
    have = python.present()
    assert (have["torch"], have["numpy"]) == ("2.9.0", "1.26.4")
    assert have.items() >= OTHERS.items()
    assert "PIP_CONSTRAINT" not in os.environ


def test_a_torch_that_cannot_do_with_slicers_numpy_is_refused_before_anything_is_installed(python, the_extension):
    write_wheel(python.wheels, "torch", "3.0.0", ["numpy>=2"])
    before = python.present()
    heard = Heard(python)
    heard.installer.start()
    assert heard.questions == []
    assert heard.errors[0].startswith("Nothing was installed: pip finds no way.")
    assert python.present() == before
