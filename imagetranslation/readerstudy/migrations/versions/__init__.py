"""The steps, one file each, oldest first by number."""
