"""Which answer is better: pairwise verdicts and their statistics. Imports rewards only.

- `instructions.py`: Instructions to a model: the options of a specification openai:MODEL?..., checked,
  and its questions
- `judge.py`: Judge, the protocol that compares, its Comparison and Verdict, both orders, and how one is
  loaded by name
- `jury.py`: A jury of judges: a strict majority of votes decides, abstentions are no votes, and it needs
  a quorum
- `llm.py`: LLM as a judge: openai:MODEL, asked which of two answers is better
- `panel.py`: A panel of judges: many comparisons, one ledger and budget, and the cost in advance
- `pointwise.py`: Grades by a language model, each answer by itself: as a judge that compares them, and as
  a scorer
- `probes.py`: Probes of a judge's health, made of good answers: null answers, injected verdicts, padding,
  copies
- `recorded.py`: A local judge whose verdicts are cached in the ledger, so that none is computed twice
- `reward.py`: A reward model as judge: the higher score wins, a margin makes ties, a logit scale gives
  probabilities
- `sides.py`: Two systems' files of responses as comparisons: matched by id or prompt, unmatched rows
  counted
- `usage.py`: Usage of a verdict: tokens, seconds and money
- `asking/`: Questions to an endpoint, answers to the ledger: calls, rate limits, retries, budget, batches
- `human/`: People as judges: a blind annotation page, whose labels are kept as events and read as
  verdicts
- `ledger/`: The ledger of every reply, in one SQLite file, so that no question is asked or paid twice
- `questions/`: Questions to a model: prompts, rubrics, answer formats, and the parsing of replies
- `statistics/`: Statistics of verdicts: pure, seeded, frozen results that carry their settings
- `verdicts/`: Verdicts in files and tables: our format and other tools', members of juries, training rows
"""

from typing import TYPE_CHECKING

from rewards import __version__
from rewards.lazy import names_on_demand

if TYPE_CHECKING:
    from judges.judge import Comparison, Judge, Verdict, ask_both_orders, load_judge
    from judges.statistics.bradley_terry import bradley_terry
    from judges.statistics.win_rate import win_rate

__all__ = [
    "Comparison",
    "Judge",
    "Verdict",
    "__version__",
    "ask_both_orders",
    "bradley_terry",
    "load_judge",
    "win_rate",
]

__getattr__ = names_on_demand(
    __name__,
    {
        "judges.judge": ("Comparison", "Judge", "Verdict", "ask_both_orders", "load_judge"),
        "judges.statistics.bradley_terry": ("bradley_terry",),
        "judges.statistics.win_rate": ("win_rate",),
    },
)
__dir__ = __all__.copy  # what a notebook completes
