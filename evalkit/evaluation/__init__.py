"""`evalkit evaluate`, `process-eval`, `accuracy` and `aspect-card`: how good a scorer is.

- `accuracy.py`: `evalkit accuracy`: accuracy of the answer chosen from N samples, against N
- `accuracy_figures.py`: Figure of accuracy against N: every selection method with its confidence band and
  a direct label
- `accuracy_samples.py`: Scored and graded samples of `evalkit accuracy`, grouped by prompt, without their
  texts
- `aspect_figures.py`: Figures of aspects: scores against labels with their accuracy, and matrices of
  correlations
- `aspect_tables.py`: A scorer's aspects against their labels as table rows, for csv files and the
  terminal
- `aspects.py`: `evalkit aspect-card`: a scorer's aspects, each against its labels, and their correlations
- `config.py`: Configurations of `evalkit evaluate`, `process-eval`, `accuracy` and `aspect-card`
- `process.py`: `evalkit process-eval`: how well step scores find the first wrong step of labelled
  solutions
- `process_figures.py`: Figure of an evaluation of step scores: ROC of single steps, and how far scores
  are probabilities
- `process_tables.py`: What `evalkit process-eval` prints: first errors found, then single steps, then
  where scores are fooled
- `report_card.py`: `evalkit evaluate`: a scorer's report card on preferences or rankings
- `report_card_figures.py`: The reliability diagram: accuracy on pairs against the scorer's confidence
- `report_card_tables.py`: The report card of a scorer as terminal tables
"""
