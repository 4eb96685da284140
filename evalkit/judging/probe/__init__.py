"""`evalkit probe`: robustness tests of a judge.

- `command.py`: `evalkit probe`: tests a judge with answers that must not win, and with identical pairs
- `figures.py`: Figure of a judge's health: each probe's figures with their intervals, beside what passes
- `findings.py`: Measures of a judge's health from its verdicts on probes, with intervals and thresholds
- `page.py`: The page of `evalkit probe` in sections: which probes a judge passes, and every figure behind
  that
"""
