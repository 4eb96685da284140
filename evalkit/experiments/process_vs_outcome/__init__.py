"""Process against outcome reward models under best of n.

- `__main__.py`: Process against outcome supervision in the world of arithmetic ("Let's Verify Step by
  Step", figure 3)
- `config.py`: Settings of process_vs_outcome: how much of everything, and what scores
- `experiment.py`: The experiment of process against outcome supervision: every seed, then tables and
  figures
- `figures.py`: The figures of process_vs_outcome: accuracy against N for each amount of data, and
  automatic labels
- `labels.py`: Automatic labels of steps in process_vs_outcome: what is learnt of them, and how far gold
  agrees
- `samples.py`: Samples of process_vs_outcome with their scores, and how accurate each way to choose among
  them is
- `steps.py`: The steps of process_vs_outcome for one seed: each makes a file, most by a command that a
  user has too
- `tables.py`: The tables of process_vs_outcome: curves, paired differences, first errors, labels, search,
  training
- `world.py`: What process_vs_outcome measures with for one seed: its problems, policy, labels and grades
"""
