"""Engines of other makers report to nobody: no number for this machine in the home folder, no host asked for."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from Testing.packages import make_package

ENGINES = {
    "onnxruntime": "from imagetranslation.engines.onnxengine import OnnxEngine as Engine",
    "openvino": "from imagetranslation.engines.openvinoengine import OpenVinoEngine as Engine",
}
# Processes are named, too: OpenVINO sends what it sends from a child.
CODE = """
import sys
sys.addaudithook(lambda event, _: event in ("socket.getaddrinfo", "socket.connect", "os.fork") and print(event))
{engine}
from imagetranslation.models import load_package
Engine(load_package(sys.argv[1]), "cpu")
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_leaves_nothing_in_the_home_folder_and_asks_for_no_host(engine: str, tmp_path: Path) -> None:
    for needed in ("onnx", "onnxscript", engine):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    package = make_package(tmp_path / "tiny")
    home = tmp_path / "home"
    home.mkdir()
    # Nothing else of the environment: a build machine is known by it, and is not reported on.
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(home), "LOCALAPPDATA": str(home)}
    surroundings["IMAGETRANSLATION_HOME"] = str(tmp_path / "data")
    command = [sys.executable, "-c", CODE.format(engine=ENGINES[engine]), str(package.path)]
    root = Path(__file__).parents[2]
    told = subprocess.run(command, env=surroundings, cwd=root, capture_output=True, text=True, check=True).stdout
    assert told == ""
    assert list(home.rglob("*")) == []
