"""`evalkit judge` and the commands that read its verdicts: winrate, rank, agreement, probe, pairs, ledger.

- `config.py`: One frozen configuration for each judging command
- `judge.py`: `evalkit judge`: two systems' responses to the same prompts, and a judge's verdict on each
  pair
- `ledger.py`: `evalkit ledger export` and `evalkit ledger import`: a ledger's attempts as JSON lines, and
  back
- `pairs.py`: `evalkit pairs`: verdicts as preferences or rankings for training, with counts of those left
  out
- `agreement/`: `evalkit agreement`: how far judges and people agree
- `page/`: Shared parts of the pages on verdicts: the comparison browser and position bias
- `probe/`: `evalkit probe`: robustness tests of a judge
- `rank/`: `evalkit rank`: a leaderboard of systems, and which of them are tied
- `winrate/`: `evalkit winrate`: which of two systems is better, and by how much
"""
