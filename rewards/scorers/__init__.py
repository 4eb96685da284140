"""What gives scores: rules, ensembles, and models of outcomes, steps and aspects.

- `aspects.py`: Scorers of several aspects with a local model: of whole responses, or of their pieces
- `engine.py`: The engine of scorers with a model: each row computed once, packed or by length; over-long
  rows
- `ensemble.py`: Scorers made of scorers: weighted sum, mean, worst case, mean minus variance
- `loading.py`: Load a model folder or Hub id as a scorer, by its `evalkit.json` or its architecture
- `outcome.py`: Scorer with a local outcome reward model: duplicates and shared prefixes computed once,
  order kept
- `process.py`: Scorer with a local process reward model: a solution's steps in one pass, shared steps
  computed once
- `rules.py`: Scorers without a model: length, exact answer, pattern, constant (baselines and fakes)
"""
