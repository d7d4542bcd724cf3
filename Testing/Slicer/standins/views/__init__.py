"""Slice views, 3D views and the layout manager: Slicer's own logics and displayable managers, drawn offscreen.

Each view is a QWidget that shows the pixels of an offscreen VTK render window, so a screenshot of a window holds what
a person would see.
"""
