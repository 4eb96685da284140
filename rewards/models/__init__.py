"""Heads on Transformers bodies, and loading and saving their checkpoints."""
