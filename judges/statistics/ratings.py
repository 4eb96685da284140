"""Labels of several raters as codes, with the missing ones marked, and their weights under resampling."""

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from rewards.errors import ConfigError, EvalkitError
from rewards.intervals import Resampling

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Labels = ArrayLike | Sequence[Hashable]
Table = ArrayLike | Sequence[Sequence[Hashable]]


class UndefinedAgreementError(EvalkitError, ValueError):
    """A chance-corrected agreement of raters who never differ from one label, which is 0 / 0."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """Ratings as places in a list of labels."""

    codes: Integers
    """[raters, items], the place of each rating's label in `labels`; -1 is missing."""
    labels: tuple[Hashable, ...]
    """Numbers in ascending order, anything else in the order of appearance."""

    def values(self, purpose: str) -> Floats:
        """Return the labels as numbers [labels].

        Raises:
            ConfigError: A label is no finite number; the message says that `purpose` needs one.
        """
        for label in self.labels:
            if not (isinstance(label, Real) and math.isfinite(label)):
                raise ConfigError(f"{purpose} needs finite numbers as labels, got {label!r}")
        return np.array([float(cast(float, label)) for label in self.labels])

    def only(self, items: NDArray[np.bool_]) -> "Ratings":
        """Return the ratings of the items [items] that are true."""
        return Ratings(self.codes[:, items], self.labels)


def is_missing(label: object) -> bool:
    """Return whether a label stands for no rating: None, or a NaN."""
    return label is None or bool(label != label)


def encode(ratings: Table) -> Ratings:
    """Return ratings [raters, items], any hashable labels, as codes.

    Raises:
        ConfigError: The ratings are no table of raters by items.
    """
    try:
        table = np.asarray(ratings, dtype=object)
    except ValueError:  # numpy's words for rows of several lengths
        table = np.empty(0, dtype=object)
    if table.ndim != 2 or table.size == 0:
        raise ConfigError("ratings are a row for each rater, all over the same items, one or more")
    codes, labels = np.full(table.shape, -1), cast(dict[Hashable, int], {})
    for place, label in np.ndenumerate(table):
        if not is_missing(label):
            codes[place] = labels.setdefault(cast(Hashable, label), len(labels))
    distinct = tuple(labels)
    if not all(isinstance(label, Real) for label in distinct):
        return Ratings(codes, distinct)
    order = sorted(range(len(distinct)), key=lambda place: cast(float, distinct[place]))
    place_of = np.empty(len(distinct) + 1, dtype=np.int64)
    place_of[order] = np.arange(len(distinct))
    place_of[-1] = -1  # where the code of a missing rating points
    return Ratings(place_of[codes], tuple(distinct[place] for place in order))


def majority(ratings: Table) -> list[Hashable | None]:
    """Return, for each item of ratings [raters, items], the label that more than half of its raters gave.

    Missing ratings are no votes. An item on which no label has more than half of the votes gives None.
    """
    encoded = encode(ratings)
    chosen: list[Hashable | None] = []
    for codes in encoded.codes.T:
        votes = Counter(int(code) for code in codes if code >= 0)
        code, most = votes.most_common(1)[0] if votes else (-1, 0)
        chosen.append(encoded.labels[code] if 2 * most > votes.total() else None)
    return chosen


@dataclass(frozen=True, slots=True)
class Patterns:
    """The distinct columns of a table of ratings, with how often each occurs in each prompt."""

    codes: Integers
    """[patterns, raters]."""
    counts: Floats
    """[patterns], the items that have each pattern."""
    cluster_of: Integers
    """[items], the prompt of each item."""
    pattern_of: Integers
    """[items]."""

    def resamples(self, resampling: Resampling) -> Iterator[Floats]:
        """Yield weights of the patterns [resamples in this block, patterns], prompts drawn with replacement.

        Items that share no prompt are drawn as one multinomial count of patterns, the same distribution.
        """
        generator = np.random.default_rng(resampling.seed)
        clusters, items = int(self.cluster_of.max()) + 1, len(self.cluster_of)
        alone = clusters == items
        shares = self.counts / items if alone else np.full(clusters, 1 / clusters)
        content = csr_array(
            (np.ones(items), (self.cluster_of, self.pattern_of)), shape=(clusters, len(self.counts))
        )
        block = max(1, 2_000_000 // max(len(shares), len(self.counts)))  # to bound the memory
        for start in range(0, resampling.resamples, block):
            drawn = generator.multinomial(clusters, shares, min(block, resampling.resamples - start))
            yield drawn.astype(np.float64) if alone else np.asarray(drawn @ content, dtype=np.float64)


def patterns(codes: Integers, prompts: Labels | None = None) -> Patterns:
    """Return the distinct columns of codes [raters, items], items belonging to prompts [items]."""
    distinct, pattern_of, counts = np.unique(codes.T, axis=0, return_inverse=True, return_counts=True)
    items = codes.shape[1]
    labelled = np.arange(items) if prompts is None else np.asarray(prompts)
    cluster_of = np.unique(labelled, return_inverse=True)[1]
    return Patterns(distinct, counts.astype(np.float64), cluster_of, pattern_of.reshape(items))
