"""`evalkit generate`, `score`, `select` and `combine`: from prompts to chosen responses.

- `candidates.py`: Candidate responses for `select`: with score or answer, grouped by prompt, duplicates
  merged
- `combine.py`: `evalkit combine`: combines the aspects of scored rows to one score, by weights and bounds
- `config.py`: One frozen configuration for each pipeline command
- `generate.py`: `evalkit generate`: samples for every prompt of a file, written row by row
- `score.py`: `evalkit score`: scores every row of a file
- `select.py`: `evalkit select`: best of n, rejection sampling or a vote, over the scored responses of
  each prompt
- `selection_summary.py`: The summary of `select`: duplicates, ties, acceptance and pairs
"""
