"""Glue between volumes and a MRML scene, for the Slicer modules and the browser viewer alike.

Runs in the 3D Slicer application and on the slicer-core package. Patient LPS becomes Slicer's RAS here and nowhere
else. What is computed about images is left to the rest of the package.
"""
