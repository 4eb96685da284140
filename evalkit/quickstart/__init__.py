"""`evalkit quickstart`: learns a reward in a small world, and optimises it until the gold reward falls.

- `command.py`: `evalkit quickstart`: learns a reward in a small world, optimises it, and shows where gold
  peaks
- `config.py`: Configuration of `evalkit quickstart`
- `findings.py`: Findings of a quickstart, read from its files
- `page.py`: One self-contained HTML page: what was done, the curve, the numbers, and answers that show
  the turn
- `steps.py`: The steps of the quickstart: each makes ordinary files, most by a command that a user has
  too
"""
