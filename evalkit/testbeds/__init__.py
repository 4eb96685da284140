"""Testbeds: small synthetic worlds with a known gold reward.

- `arithmetic.py`: arithmetic: a synthetic world of sums modulo ten, its problems, and its author's errors
- `arithmetic_corpus.py`: Data of the arithmetic testbed: problems, the author's solutions, and gold
  labels
- `arithmetic_gold.py`: The gold reward of arithmetic: grades each line of a solution, and its answer
- `arithmetic_models.py`: A small Llama trained to match the author of arithmetic, and the gate it must
  pass
- `arithmetic_theory.py`: Exact accuracies of the author of arithmetic, computed from its table, without a
  model or samples
- `facts.py`: facts: a synthetic world, its questions, and the gold reward table of answers
- `facts_corpus.py`: Data of the facts testbed: answers, reviews that mark each fact, and noisy labels
  from gold
- `facts_gold.py`: The gold reward of facts: an answer split into segments, each with its score and kind
- `facts_models.py`: Small Llama models trained on the corpus of facts, and the gate they must pass
- `world_models.py`: Shared by all testbed models: tokenizer, architecture, training, and the world's hash
  beside them
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from evalkit.testbeds.arithmetic import ArithmeticWorld
from evalkit.testbeds.arithmetic_gold import ArithmeticScorer
from evalkit.testbeds.facts import FactsWorld
from evalkit.testbeds.facts_gold import FactsScorer
from rewards.errors import SpecError
from rewards.scorer import Scorer
from rewards.specs import Spec

TESTBEDS: Mapping[str, Callable[[int], Scorer]] = MappingProxyType(
    {
        "facts": lambda seed: FactsScorer(FactsWorld(seed=seed)),
        "arithmetic": lambda seed: ArithmeticScorer(ArithmeticWorld(seed=seed)),
    }
)
"""The gold reward of each testbed, by the seed of the world."""


def load_testbed_scorer(spec: Spec) -> Scorer:
    """Load the gold reward of a testbed: `testbed:facts`, or another world by `testbed:facts?seed=3`.

    Raises:
        SpecError: There is no such testbed, or an option is unknown or no whole number.
    """
    if spec.rest not in TESTBEDS:
        raise SpecError(f"{spec.text}: unknown testbed {spec.rest!r}; known: {', '.join(TESTBEDS)}")
    spec.allow("seed")
    seed = float(spec.option("seed", 0))
    if not seed.is_integer():
        raise SpecError(f"{spec.text}: option seed is a whole number, got {spec.options['seed']!r}")
    return TESTBEDS[spec.rest](int(seed))
