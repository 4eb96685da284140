"""Heads on Transformers bodies, and their checkpoints both ways."""
