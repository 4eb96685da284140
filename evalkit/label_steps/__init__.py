"""`evalkit label-steps`: step labels by Monte Carlo rollouts from each step.

- `cache.py`: The completion cache, an SQLite file: runs resume, and no completion is sampled twice
- `command.py`: `evalkit label-steps`: a step's label is the share of completions from it with the correct
  answer
- `config.py`: Configuration of `evalkit label-steps`
- `rollouts.py`: Rollouts: completions from step prefixes until each step's label is decided
  (Math-Shepherd)
- `solutions.py`: Reads and checks solutions to label: steps, reference answer, columns
- `summary.py`: Summary of a file of labels: steps, shares of correct completions, and rollouts saved
"""
