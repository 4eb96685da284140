"""Overoptimization against reward model size and labels in the world of facts."""
