"""PPO, DPO and RSO against the exact optimum of a toy world."""
