"""Comparing methods of translation on the same patients: measures, intervals, tests, ranks. Training is left out."""
