"""A model package as an ONNX file or as a MONAI bundle.

python -m training_tools.exporting onnx PACKAGE -o FILE.onnx
python -m training_tools.exporting bundle PACKAGE -o FOLDER
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from imagetranslation.models import load_package

from ..console import run as run_command
from .bundle import write_bundle
from .onnxfile import write_onnx


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.exporting", description=__doc__.split("\n")[0])
    parser.add_argument("form", choices=("onnx", "bundle"))
    parser.add_argument("package", help="path or id of a model package")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file of the ONNX, or folder of the bundle")
    options = parser.parse_args(arguments)
    write = write_onnx if options.form == "onnx" else write_bundle
    print(json.dumps(write(load_package(options.package), options.output)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
