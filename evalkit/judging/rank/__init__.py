"""`evalkit rank`: a leaderboard of systems, and which of them are tied.

- `command.py`: `evalkit rank`: systems by strength from verdicts, with intervals, and which of them are
  tied
- `figures.py`: A leaderboard's figure: every system's strength with its interval, the strongest on top
- `page.py`: A leaderboard's page: strengths, differences, ties, and the method
"""
