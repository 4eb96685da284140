"""Rollouts: responses of a policy in training, which tokens are paid what, and the scale of rewards."""
