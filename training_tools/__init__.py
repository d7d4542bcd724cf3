"""What runs outside Slicer: preparing pairs, simulating them, training, evaluating and exporting models."""
