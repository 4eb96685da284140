"""How a policy changes while it trains, on held-out prompts: reward, KL, length and signs of collapse."""
