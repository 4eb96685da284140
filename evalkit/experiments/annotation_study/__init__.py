"""People's labels end to end: can a study of labels put a judge right, and do its intervals hold.

- `__main__.py`: A study of people's labels by commands alone in a world whose truth is known, held
  against the truth
- `config.py`: Settings of the study of people's labels
- `experiment.py`: The study of people's labels: its commands in order, then every figure beside the truth
- `figures.py`: The figure of the annotation study: each interval in every study, and the truth that it is
  to hold
- `scripted_judge.py`: An OpenAI-compatible endpoint behind which a judge sits whose errors are known, for
  experiments
- `tables.py`: What the commands of an annotation study found beside what is true in its world: table and
  figure
"""
