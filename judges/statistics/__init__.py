"""Statistics of verdicts: pure, seeded, frozen results that carry their settings.

- `agreement.py`: Agreement of judges and people: percent, Cohen, Fleiss, Krippendorff; intervals resample
  prompts
- `alpaca_eval.py`: AlpacaEval's win rate, standard error and length-controlled win rate, exactly as it
  computes them
- `bootstrap.py`: Cluster bootstrap over prompts: standard error and confidence interval of a mean verdict
- `bradley_terry.py`: Bradley-Terry strengths with ties, robust errors and prompt-clustered intervals
- `correction.py`: Prediction-powered win rate: many model verdicts, corrected by few human verdicts
- `difference_design.py`: The regression behind length control: verdicts, differences and prompts,
  checked, and their fit
- `elo.py`: Elo ratings, in the order of the games and averaged over shuffled orders
- `identification.py`: Identifiability of Bradley-Terry strengths, and which systems prevent it
- `influence.py`: Influence of each prompt on a human-corrected win rate, with the resulting weight and
  error
- `length_control.py`: Length-controlled win rate, for any prompts, with an interval that includes
  coefficients' uncertainty
- `likelihood.py`: Maximum likelihood of paired comparisons: Newton's method on many samples at once,
  sandwich, bootstrap
- `logistic.py`: Logistic regression for labels in [0, 1]: weights, ridge, lasso, and a refusal where no
  estimate exists
- `pair_sums.py`: Verdicts between named systems as sums over pairs, in all and prompt by prompt
- `paired.py`: Systems compared on the prompts they share: differences, their p-values, and which systems
  are tied
- `planning.py`: Sample size of a win rate: prompts for a given confidence interval or power
- `position_bias.py`: Position bias: how often the side shown first wins, how often both orders agree,
  under each tie policy
- `raters.py`: Agreement of raters: each pair, and each with the majority of the others
- `ratings.py`: Labels of several raters as codes, with the missing ones marked, and their weights under
  resampling
- `shares.py`: A share of yes and no answers with Wilson's interval
- `significance.py`: Exact tests of paired differences (sign-flip, sign, McNemar), and Holm's correction
  for many of them
- `strength_ranks.py`: Significant differences of strengths after Holm's correction, and each system's
  range of ranks
- `style.py`: Style of texts (length, headers, lists, bold) and Bradley-Terry strengths at equal style
- `ties.py`: Tie models: half a win each, or an outcome of its own after Davidson or Rao and Kupper
- `win_rate.py`: Win rate: the mean verdict, its standard error and interval, missing verdicts, and
  policies for ties
"""
