"""Translations of every patient by translators that never saw that patient: who is trained on whom, and the making."""
