"""Parts of the `slicer` Python package that slicer-core lacks, by Slicer's documentation: the folder is appended to
`slicer.__path__`, so that `from slicer.ScriptedLoadableModule import *` and the others find them.
"""
