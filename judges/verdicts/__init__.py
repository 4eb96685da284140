"""Verdicts in files and tables: our format and other tools', members of juries, training rows.

- `annotation.py`: Shared parts of the readers of other tools' annotations: making verdicts, and texts out
  of prompts
- `formats.py`: Annotation files of AlpacaEval, Arena-Hard and MT-bench, read as they are; `first` is the
  system tested
- `groups.py`: Verdicts of files by two systems, one judge and one axis, and both orders of a comparison
  side by side
- `human_check.py`: People's verdicts beside a judge's: on the same comparisons, the judge's win rate is
  corrected by them
- `leaderboard.py`: A leaderboard for each axis and judge: strengths, ranks, ties, win rates, missing
  verdicts, style, Elo
- `members.py`: A jury's verdicts split into those of its members, and their majority
- `reading.py`: Verdicts to rows of files and back, in our format and from other tools' annotations
- `table.py`: Columns of very many verdicts for statistics, without their texts
- `training_rows.py`: Verdicts as preferences and rankings for training, with counts of those left out, by
  reason
- `win_rate_findings.py`: Findings of one judge's verdicts on two systems: win rate, position bias,
  length, human correction
"""
