"""PPO: critics, advantages and returns, updates, the training loop, and the fit that runs it."""
