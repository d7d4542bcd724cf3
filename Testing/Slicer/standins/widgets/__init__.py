"""Stand-ins of CTK's and Slicer's widgets: PySide6 classes with the C++ classes' properties, slots and signals.

Only what the C++ class declares to Qt (Q_PROPERTY, public slot, Q_INVOKABLE, signal) is visible through PythonQt, so
only that is declared. Each class is as small as a test of a module panel allows and behaves as documented.
"""
