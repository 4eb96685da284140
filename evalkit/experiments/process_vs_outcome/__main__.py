"""Process against outcome supervision in the world of arithmetic ("Let's Verify Step by Step", figure 3).

    python -m evalkit.experiments.process_vs_outcome

About 12 minutes a seed. Expected, over three seeds: with 32,000 labelled solutions the process model's best
of 128 is always right, the outcome model's in 64 to 82 %, and the majority in 55 %: the paper's order. With
1,000 and 4,000 the outcome model falls below the majority as N grows.
"""

from evalkit.experiments.entry import start
from evalkit.experiments.process_vs_outcome.config import ProcessVsOutcome

if __name__ == "__main__":
    start("process_vs_outcome", ProcessVsOutcome)
