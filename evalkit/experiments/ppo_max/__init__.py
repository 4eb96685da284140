"""PPO-max against plain PPO, and with each of its parts left out."""
