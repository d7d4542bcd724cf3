"""How fast things are, side by side with a stated comparison: `make bench`. Nothing here is a test of speed."""
