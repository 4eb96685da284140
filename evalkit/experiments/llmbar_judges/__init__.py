"""Whether language models judge answers or positions, by published verdicts on LLMBar.

- `__main__.py`: Whether six language models judge answers or positions, by published verdicts on LLMBar
  (Zeng et al. 2023)
- `config.py`: Settings of the comparison of LLMBar's judges
- `experiment.py`: The comparison of LLMBar's judges: their verdicts as rows of `evalkit judge`, and
  `evalkit winrate`
"""
