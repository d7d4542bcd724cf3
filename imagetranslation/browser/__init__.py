"""The viewer in a web page: source, synthetic and reference side by side, linked, and marked. Built on trame-slicer."""
