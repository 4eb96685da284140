"""`evalkit label-steps`: step labels by Monte Carlo rollouts from each step."""
