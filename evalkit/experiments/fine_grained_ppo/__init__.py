"""Span rewards in PPO against one holistic reward.

- `__main__.py`: Span rewards of an aspects model against one holistic reward, and dense against final
  credit, under PPO
- `config.py`: Settings of the fine-grained PPO experiment: how much of everything, and the rewards it
  compares
- `experiment.py`: The fine-grained PPO experiment: every reward for every seed, then tables and a figure
- `figures.py`: The figure of the fine-grained PPO experiment: gold and its aspects over episodes and KL,
  other weights
- `steps.py`: The steps of one seed of the fine-grained PPO experiment: labels, reward models, a PPO run a
  reward
- `tables.py`: From the runs of the fine-grained PPO experiment to tables: curves, ends, gold at equal KL,
  differences
"""
