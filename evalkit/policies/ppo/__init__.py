"""PPO: critics, targets, updates, rounds, and the fit that is made of them."""
