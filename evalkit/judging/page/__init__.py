"""Shared parts of the pages on verdicts: the comparison browser and position bias.

- `gathering.py`: The comparisons that a page shows: those on which verdicts disagree first, texts read in
  a second pass
- `position_panel.py`: Position bias on a page: how often the first position wins, and how often both
  orders agree
- `verdict_page.py`: One self-contained HTML page about verdicts: numbers, figures, and a browser of the
  comparisons
"""
