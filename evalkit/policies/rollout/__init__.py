"""Rollouts of a policy in training: sampled responses, their token rewards and their order."""
