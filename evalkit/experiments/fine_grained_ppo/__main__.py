"""Span rewards of an aspects model against one holistic reward, and dense against final credit, under PPO.

    python -m evalkit.experiments.fine_grained_ppo

After Fine-Grained RLHF (Wu et al. 2023, 2306.01693) in the world of facts. Reward models learn from the same
labelled answers, as in `fine_grained`; PPO optimises each, and gold itself as the upper bound. The spans are
paid twice, once each where it ends and once their sum at the last token, so that what dense credit does is
told apart from what the labels do. On one seed the aspects are weighed otherwise.

About 30 s a run and 2 minutes for a seed's models on a free core, 23 runs. Expected, over three seeds, after
5120 episodes: a gold of about 2.1 by gold, 1.0 by ratings, 0.7 by spans paid at the end, 0.3 by spans paid
where they end and by preferences. Dense credit learns faster from gold, and loses with the learnt spans.
"""

from evalkit.experiments.entry import start
from evalkit.experiments.fine_grained_ppo.config import FineGrainedPpo

if __name__ == "__main__":
    start("fine_grained_ppo", FineGrainedPpo)
