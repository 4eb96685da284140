"""How often the intervals of annotation studies hold the truth.

- `__main__.py`: How often the intervals of a study of people's labels hold the truth, over many studies
  that are simulated
- `config.py`: Settings of the simulation of studies
- `experiment.py`: Studies simulated by the rules of `evalkit annotate`, and how often their intervals
  hold the truth
- `label_memory.py`: Labels of simulated annotators in memory, in place of a database: what a study's
  figures are read from
"""
