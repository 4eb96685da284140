"""Overoptimization against reward model size and labels in the world of facts (Gao et al. 2022, figures 1-3).

    python -m evalkit.experiments.facts_overoptimization

About 3 minutes of processor time a seed. Expected, over three seeds: the highest gold gain is about 0.5 with
500 labels, 0.7 to 1.1 with 1500 and 1.5 with 5000, nearly always at an n between 4 and 256, and gold falls
beyond it. More labels raise alpha. Unlike in the paper, size makes no consistent difference to beta.
"""

from evalkit.experiments.entry import start
from evalkit.experiments.facts_overoptimization.config import Grid

if __name__ == "__main__":
    start("facts_overoptimization", Grid)
