"""PPO: rollouts, credit of tokens, critics, updates and rounds."""
