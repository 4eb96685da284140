"""PPO, DPO and RSO against the exact optimum of a toy world.

- `__main__.py`: PPO, DPO and RSO against the policy that theory says they reach, pi_ref exp(r / beta) /
  Z, known exactly
- `config.py`: Settings of the exact tilt: seeds, beta, and how much of everything
- `experiment.py`: The experiment of the exact tilt: every method on every world, then tables and a figure
- `figures.py`: The figure of the exact experiment: how far each method ends, and how it gets there
- `methods.py`: Ways to the tilted policy, through the code that the commands run: SFT, DPO, RSO's pairs,
  PPO
- `pairs.py`: Preferences between the answers of the exact world: by their weights, and as finite draws
- `rejection.py`: What statistical rejection sampling accepts from few texts, exactly where it can be told
- `world.py`: A world of eight answers to three questions: what a policy says there exactly, and where it
  should end
"""
