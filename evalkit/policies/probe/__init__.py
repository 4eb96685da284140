"""Probes of a policy in training on held-out prompts: reward, KL, length and signs of collapse.

- `collapse.py`: Detects the known signs of policy collapse and overoptimization in a run's panels
- `panel.py`: The panel of metrics of a policy run: rewards, KL, length, perplexity, entropy and
  repetition
- `probe.py`: A probe: scored samples on held-out prompts while a policy trains, the best weights kept,
  and a stop
- `probe_file.py`: The probe's JSON lines by step: appended whole, truncated after a kill, read on resume
- `prompts.py`: Prompts to train or probe a policy on, with their data columns, and rewards of responses
  to them
"""
