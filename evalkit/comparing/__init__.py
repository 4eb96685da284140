"""`evalkit compare`: policies against a baseline on the same held-out prompts.

- `command.py`: `evalkit compare`: compares policies with a baseline by every reward and judge
- `config.py`: The configuration of `evalkit compare`: several policies from one start, by every reward
  and judge
- `figures.py`: The figure of a comparison: win rates against the baseline by every reward and judge, and
  lengths
- `findings.py`: Results of a comparison of policies: rewards, win rates, lengths and pairwise tests
- `samples.py`: Samples of a comparison: every policy's responses to the prompts, and their rewards
- `tables.py`: A comparison of policies as terminal tables and csv rows
- `verdicts.py`: Judges' verdicts on each policy against the baseline, asked once and kept in the ledger
"""
