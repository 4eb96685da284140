"""Testbeds: small synthetic worlds with a known gold reward."""

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
