"""Qt panels for 3D Slicer: thin faces over logic that lies in small files without widgets.

Files that import `qt` say so in their first lines; the rest of this folder runs without it.
"""
