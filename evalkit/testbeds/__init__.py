"""Small worlds whose true reward is known."""

from evalkit.testbeds.facts import FactsWorld
from evalkit.testbeds.facts_gold import FactsScorer
from rewards.errors import SpecError
from rewards.scorer import Scorer, Spec


def load_testbed_scorer(spec: Spec) -> Scorer:
    """Load the gold reward of a testbed: `testbed:facts`, or another world by `testbed:facts?seed=3`.

    Raises:
        SpecError: There is no such testbed, or an option is unknown or no whole number.
    """
    if spec.rest != "facts":
        raise SpecError(f"{spec.text}: unknown testbed {spec.rest!r}; known: facts")
    spec.allow("seed")
    seed = float(spec.option("seed", 0))
    if not seed.is_integer():
        raise SpecError(f"{spec.text}: option seed is a whole number, got {spec.options['seed']!r}")
    return FactsScorer(FactsWorld(seed=int(seed)))
