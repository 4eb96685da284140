"""`evalkit judge` and the commands that read its verdicts: winrate, rank, agreement, probe, pairs, ledger."""
