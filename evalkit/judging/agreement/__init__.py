"""`evalkit agreement`: how far judges and people agree.

- `command.py`: `evalkit agreement`: inter-rater agreement and self-consistency of judges, human or not
- `figures.py`: The figure of agreement: kappa of each two judges, or their labels, and intervals of kappa
- `labels.py`: Labels of each judge in files of verdicts: one for each comparison, and those of repeated
  questions
- `page.py`: The page of agreement: each two judges, each with the rest, all of them, and each with itself
- `raters.py`: Agreement of raters on one axis: pairwise, each with the rest, all together, and
  self-consistency
"""
