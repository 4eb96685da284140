"""`evalkit winrate`: which of two systems is better, and by how much.

- `command.py`: `evalkit winrate`: win rates from files of verdicts, with intervals and corrections
- `figures.py`: Figures of win rates: plain and corrected with their intervals, and position bias
- `page.py`: The page of `evalkit winrate` in sections: win rates, position bias, length, people
"""
