"""PPO-max against plain PPO in the world of facts, and PPO-max with each of its parts left out.

    python -m evalkit.experiments.ppo_max

PPO-max is the recipe of Secrets of RLHF I (Zheng et al. 2023, 2307.04964, sections 5.2 to 5.4). A policy is
optimised against a reward model that learnt from 1000 noisy labels, and gold, KL, perplexity and length are
looked at on held-out prompts. All variants share models, episodes, updates and learning rates within a seed.

About 40 seconds of processor time a run, and 45 runs. Expected: gold rises from -0.6 to about 0 within 1000
episodes and stays there; plain PPO falls far below on its way in two of three seeds and comes back, unless
its critic is trained first; without the KL penalty gold is lower in every seed. No other part, left out of
PPO-max, moves gold by more than chance.
"""

from evalkit.experiments.entry import start
from evalkit.experiments.ppo_max.config import PpoMax

if __name__ == "__main__":
    start("ppo_max", PpoMax)
