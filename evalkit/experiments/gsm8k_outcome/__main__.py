"""An outcome reward model of real solutions: GSM8K's examples, every problem held out once, beside nulls.

    python -m evalkit.experiments.gsm8k_outcome --data example_model_solutions.jsonl --problems train.jsonl

The files are those of `openai/grade-school-math` (Cobbe et al. 2021, 2110.14168): 1,319 problems, each with a
solution of each of four models, and 7,473 worked problems that the body reads before. All is made by
`evalkit train correctness`, `score` and `accuracy`. About nine minutes of one core. Expected of a body this
small: an AUC of 0.65, as it sees how hard a problem is; of two solutions it cannot tell the right one.
"""

from evalkit.experiments.entry import start
from evalkit.experiments.gsm8k_outcome.config import Gsm8kOutcome

if __name__ == "__main__":
    start("gsm8k_outcome", Gsm8kOutcome)
