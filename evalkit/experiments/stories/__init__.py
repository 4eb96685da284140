"""Children's stories improved by commands alone.

- `__main__.py`: Stories of a small language model improved by DPO, RSO, PPO and best-of-n, by evalkit's
  commands alone
- `commands.py`: The commands of the stories experiment, in the order in which a user would type them, and
  their prompts
- `config.py`: Settings of the stories experiment: the model, and how much of everything
- `experiment.py`: The stories experiment: every command in order, then tables, samples and figures
- `figures.py`: The figure of the stories experiment: what becomes of stories as the KL to the start grows
- `tables.py`: What the stories experiment found: a row a policy, its stories beside those before, and its
  probes
"""
