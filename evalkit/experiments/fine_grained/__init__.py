"""Aspects learnt from spans against one preference reward.

- `__main__.py`: Aspects learnt from spans against one holistic preference reward, on the same labelled
  answers
- `config.py`: Settings of the fine-grained experiment: how much of everything, and the ways to label
  answers
- `experiment.py`: The fine-grained experiment: every reward model for every seed, then tables and figures
- `figures.py`: Figures of the fine-grained experiment: quality of the chosen answers, trade-offs, gold
  against n
- `steps.py`: The steps of one seed of the fine-grained experiment: answers, their labels, reward models,
  scores
- `tables.py`: What the fine-grained experiment measures: gold of the chosen answers, trade-offs, fronts
  and bounds
"""
