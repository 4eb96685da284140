"""Shared parts of the pages on verdicts: the comparison browser and position bias."""
