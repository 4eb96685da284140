"""Progress of a study: speed, checks, position bias, agreement, and a fair sample of labels. Pure.

- `compact.py`: What statistics need of tasks and labels: no texts, so that very many fit in memory
- `measured.py`: The answers that a figure about systems may be read from while a study is on its way
- `numbers.py`: All figures of a study that the admin view shows, and the protocol of what computes them
- `people_agreement.py`: Inter-annotator agreement, on each screen by the coefficients that suit its
  answers
- `progress.py`: Progress of a study: tasks done and left, each annotator's speed, checks and position
  bias
- `qualities.py`: How often people find each system the best of K, and how good its answers are
- `splits.py`: The tasks on which people disagree, most split first
- `study_numbers.py`: The figures of a study of people's labels, made anew only where something has
  changed
- `win_rates.py`: Win rates of each two systems in a running study: people's, and judges' corrected by
  people's
"""
