"""Made-up tasks such as people are asked: code, a table, formulas, a solution, a false claim."""

from judges.human.answers import Answer, BestAnswer, RankingAnswer, SpansAnswer, StepsAnswer
from judges.human.tasks import Screen, Task
from rewards.records import Message, Span

INSTRUCTIONS = """Choose the answer that **helps the person more**. Correct comes before complete, complete
before short; style counts last. Where both are equally good, say tie. Check code and sums: a small slip often
decides.
"""

_COUNTER = """Use `collections.Counter`:

```python
from collections import Counter

def most_common(words, n):
    return Counter(words).most_common(n)
```

`most_common` gives pairs of a word and its count, the most frequent first. \
Counting takes $O(N)$ for $N$ words, picking the first $n$ of $K$ different ones $O(K \\log n)$.

| words | n | result |
|---|---:|---|
| `a b a` | 1 | `[('a', 2)]` |
| `b a` | 5 | `[('b', 1), ('a', 1)]` |

Words with equal counts come in the order in which they were first seen.
"""
_LOOP = """You can count them in a loop:

```python
def most_common(words, n):
    counts = {}
    for word in words:
        counts[word] = words.count(word)
    return sorted(counts, key=counts.get)[:n]
```

This walks through the list once and then sorts, so it is fast even for long lists. \
If you need the counts too, return `counts.items()`.
"""
_WORDS = (
    Message("user", "How do I read a text file into a list of words in Python?"),
    Message("assistant", "`words = open('a.txt', encoding='utf-8').read().split()` splits at white space."),
    Message("user", "Thanks. And which are the most frequent? I need the first *n* with their counts."),
)
_TOMATOES = (
    "Yellowing that **starts with the oldest leaves** usually means a lack of nitrogen: the plant moves it "
    "to the young leaves.\n\n1. Feed with a liquid fertiliser for tomatoes once a week.\n"
    "2. Water evenly, at the root.\n"
    "3. If the yellow has brown rings, it is early blight instead: take those leaves off.",
    "Tomatoes are sensitive. Try to water more, or perhaps less, and see if it gets better.",
    "Most likely too little nitrogen, or too much water. Feel the soil a finger deep: if it is wet, wait; "
    "if it is dry and the plant is fruiting, feed it.",
)
_SKY = (
    "Sunlight is a mix of all colours. When it flies through the air, the tiny bits of air bounce blue light "
    "around much more than red light, so blue comes at you from everywhere.",
    "The sky is blue because it reflects the colour of the oceans. At night there is no light, so it is "
    "black.",
    "Rayleigh scattering by molecules much smaller than the wavelength scales as $\\lambda^{-4}$. Hence "
    "short wavelengths dominate the diffuse radiance.",
    "Light from the sun has every colour hidden inside. Air likes to throw the blue part in all directions!",
)
_LADDER = (
    "Let $x$ be the distance of the foot and $y$ the height of the top, so that $x^2 + y^2 = 25$.\n\n",
    "At this moment $x = 3$, and $y = \\sqrt{25 - 9} = 4$.\n\n",
    "Differentiating with respect to time: $$2x\\frac{dx}{dt} + 2y\\frac{dy}{dt} = 0.$$\n\n",
    "Solving for the speed of the top: $\\frac{dy}{dt} = -\\frac{y}{x}\\,\\frac{dx}{dt}$.\n\n",
    "With the numbers: $\\frac{dy}{dt} = -\\frac{4}{3}\\cdot 0.5 = -\\frac{2}{3}$ m/s.\n\n",
    "The top slides down at $\\frac{2}{3}$ m/s.",
)
_TOWER = (
    "The Eiffel Tower was finished in 1899 for a world's fair in Paris. It stands about 330 m tall, antennas "
    "included, and was the tallest structure in the world until the Chrysler Building passed it in 1930.\n\n"
    "Its iron grows in summer heat, so that the tip moves by some centimetres. By the way, French bread is "
    "excellent. You can climb it by stairs up to the second floor; lifts go to the top."
)
_ASPECTS = ("irrelevant", "unfactual", "incoherent", "+insightful")


def _stretch(text: str, aspect: str) -> Span:
    start = _TOWER.index(text)
    return Span(start, start + len(text), aspect, float(aspect.startswith("+")))


_TASKS = (
    Task("pairwise", _WORDS, (_COUNTER, _LOOP), id="frequent-words"),
    Task("best", "My tomato leaves turn yellow from below. What is going on?", _TOMATOES, id="tomatoes"),
    Task("ranking", "Why is the sky blue? In two sentences, for a child of eight.", _SKY, id="blue-sky"),
    Task(
        "steps",
        "A ladder of 5 m leans against a wall, its foot 3 m from the wall. The foot slides away at 0.5 m/s. "
        "How fast does its top slide down at that moment?",
        ("".join(_LADDER),),
        _LADDER,
        id="ladder",
    ),
    Task(
        "spans",
        "When was the Eiffel Tower built, how tall is it, and what does a visit cost?",
        (_TOWER,),
        aspects=_ASPECTS,
        id="eiffel-tower",
    ),
)
_SAID: tuple[Answer | None, ...] = (
    None,
    BestAnswer(0, (5, 1, 4)),
    RankingAnswer((1, 4, 3, 2)),
    StepsAnswer(("positive", "positive", "neutral", "negative", None, None)),
    SpansAnswer(
        (
            _stretch("finished in 1899", "unfactual"),
            _stretch("Its iron grows in summer heat", "+insightful"),
            _stretch("By the way, French bread is excellent.", "irrelevant"),
        ),
        ("what a visit costs",),
    ),
)
EXAMPLES: dict[Screen, tuple[Task, Answer | None]] = {
    task.screen: (task, said) for task, said in zip(_TASKS, _SAID, strict=True)
}
"""By screen a task, and what a person has said of it so far."""
