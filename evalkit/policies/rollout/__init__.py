"""Rollouts of a policy in training, for PPO and its like: responses, their rewards by token, their order."""
