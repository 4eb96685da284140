"""PPO-max against plain PPO, and with each of its parts left out.

- `__main__.py`: PPO-max against plain PPO in the world of facts, and PPO-max with each of its parts left
  out
- `config.py`: Settings of the PPO-max experiment: how much of everything, and the variants of PPO it
  compares
- `experiment.py`: The PPO-max experiment: every variant for every seed, then tables and figures
- `figures.py`: Figures of the PPO-max experiment: what runs show over episodes, and where each variant
  ends
- `steps.py`: The steps of one seed of the PPO-max experiment: language models, a reward model, and a run
  a variant
- `tables.py`: From the runs of the PPO-max experiment to tables: curves, ends and bests, gold at equal KL
"""
