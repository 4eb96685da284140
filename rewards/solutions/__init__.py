"""A solution's steps and its final answer.

- `answers.py`: The final answer of a solution, and whether it is the reference answer: by text, number or
  expression
- `expressions.py`: Answers that are expressions, by the package math-verify: whether two are equal, and
  one text of each
- `steps.py`: A solution's steps: splitting them, aggregating their scores, and finding the first error
"""
