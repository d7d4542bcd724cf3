"""Simulated pairs of known truth, one file a body region."""
