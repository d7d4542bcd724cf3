"""Blood pool to delayed bone scan: the task of the second study, lesion by lesion."""

from __future__ import annotations

import argparse

from imagetranslation.errors import InputError

from .task import Reading, Task


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this task."""


def read(options: argparse.Namespace) -> Reading:
    """Read every lesion of the cases."""
    raise InputError("Give the cases with --data or --cases.")


TASK = Task("pool2delayed", "blood pool and delayed bone scans: uptake ratio of every lesion", add_options, read)
