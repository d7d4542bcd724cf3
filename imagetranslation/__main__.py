"""`python -m imagetranslation`: the same command, for Pythons without scripts on their path (PythonSlicer)."""

from .cli import main

main()
