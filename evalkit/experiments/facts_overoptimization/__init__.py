"""Overoptimization against reward model size and labels in the world of facts.

- `__main__.py`: Overoptimization against reward model size and labels in the world of facts (Gao et al.
  2022, figures 1-3)
- `config.py`: Settings of the overoptimization grid: seeds, labels and samples
- `experiment.py`: The overoptimization grid: every reward model for every seed, then curves, fits and a
  figure
- `figures.py`: The figure of the overoptimization grid: gold as best-of-n selects harder
- `tables.py`: The tables of the overoptimization grid: gold over the distance, and the fits
"""
