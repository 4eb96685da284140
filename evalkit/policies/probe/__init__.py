"""Probes of a policy in training on held-out prompts: reward, KL, length and signs of collapse."""
