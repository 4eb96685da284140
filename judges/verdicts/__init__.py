"""Verdicts in files and tables: ours and those of other tools, members of juries, rows to train on."""
