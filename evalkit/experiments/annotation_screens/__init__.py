"""Pictures of the annotation page.

- `__main__.py`: Pictures of the annotation page on a laptop and on a phone, and of the figures of a study
  under way
- `config.py`: Settings of the pictures of the annotation page
- `examples.py`: Made-up tasks such as people are asked: code, a table, formulas, a solution, a false
  claim
- `experiment.py`: Pictures of the annotation page and of a study's figures, taken in Chromium
"""
