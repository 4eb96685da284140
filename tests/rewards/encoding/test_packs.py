from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.encoding.packs import MINIMUM_SAVING, UNIT_TOKENS, pack, shared_prefixes

short_rows = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=14)


def joined(parts):
    return list(chain.from_iterable(parts))


# A chain: each row goes on where an earlier one ends, as the steps of a solution do.
chains = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=60), min_size=1, max_size=8).map(
    lambda parts: [joined(parts[: end + 1]) for end in range(len(parts))]
)
families = st.builds(
    lambda prompt, ends, tail: [prompt + end for end in ends] + [tail],
    st.lists(st.integers(0, 400), min_size=0, max_size=80),
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40), min_size=1, max_size=8),
    st.lists(st.integers(0, 400), min_size=1, max_size=300),
)
any_rows = st.one_of(short_rows, chains, families, st.tuples(chains, families).map(joined))


def seen_by_query(part):
    """For each place of the sequence, the places that it attends to."""
    seen = {}
    for bucket in part.buckets:
        for unit, query in zip(*np.nonzero(bucket.filled), strict=True):
            place = int(bucket.queries[unit, query])
            assert place not in seen, "a token is computed twice"
            seen[place] = bucket.keys[unit, bucket.allowed[unit, query]].tolist()
    return seen


def trie_size(rows):
    return len({tuple(row[:end]) for row in rows for end in range(1, len(row) + 1)})


def check(rows, budget, minimum_saving):
    """Read every row back from what its last token attends to."""
    packs = list(pack(rows, budget, minimum_saving))
    numbers = Counter(number for part in packs for number in part.rows.tolist())
    assert numbers == Counter(range(len(rows)))
    for part in packs:
        seen = seen_by_query(part)
        assert sorted(seen) == list(range(len(part.tokens)))
        for number, last in zip(part.rows.tolist(), part.last.tolist(), strict=True):
            row, places = rows[number], seen[last]
            assert len(set(places)) == len(places)
            places = sorted(places, key=lambda place: part.positions[place])
            assert part.tokens[places].tolist() == list(row)
            assert part.positions[places].tolist() == list(range(len(row)))
            for depth, place in enumerate(places):  # every token of the row sees just what stands before it
                assert sorted(seen[place]) == sorted(places[: depth + 1])
        own = [rows[number] for number in part.rows.tolist()]
        assert part.longest == max(map(len, own))
        assert trie_size(own) <= len(part.tokens) <= sum(map(len, own))
    return packs


@given(any_rows, st.integers(1, 200), st.sampled_from([1, 2, 5, MINIMUM_SAVING]))
def test_each_token_sees_its_row_and_nothing_else(rows, budget, minimum_saving):
    check(rows, budget, minimum_saving)


@given(any_rows)
def test_a_prefix_stands_once_where_any_saving_is_taken(rows):
    (part,) = check(rows, 1 << 20, 1)
    assert len(part.tokens) == trie_size(rows)


@given(any_rows, st.integers(1, 200))
def test_packs_stay_within_the_budget_unless_one_row_exceeds_it(rows, budget):
    for part in pack(rows, budget, 1):
        assert len(part.tokens) <= budget or len({tuple(rows[number]) for number in part.rows}) == 1


@given(any_rows, st.integers(0, 5))
def test_equal_rows_stand_once(rows, copies):
    rows = [*rows, *rows[:copies]]
    (part,) = pack(rows, 1 << 20)
    ends = {(tuple(rows[number]), last) for number, last in zip(part.rows, part.last, strict=True)}
    assert len(ends) == len({tuple(row) for row in rows})


def test_a_saving_below_the_minimum_is_not_taken():
    rows = [[1] * 7 + [2], [1] * 7 + [3], [1] * 7 + [4]]  # sharing 7 tokens among three rows saves 14
    assert [len(part.tokens) for part in pack(rows, 100, 15)] == [24]
    assert [len(part.tokens) for part in pack(rows, 100, 14)] == [10]


def test_rows_without_a_shared_beginning_need_no_mask():
    (part,) = check([[1] * 30, [2] * 31, [3] * 90], 1 << 20, MINIMUM_SAVING)
    assert all(bucket.causal for bucket in part.buckets)


def test_more_responses_than_one_unit_holds():
    rows = [[9] * 40 + [number, number + 1] * 50 for number in range(UNIT_TOKENS // 25)]
    (part,) = check(rows, 1 << 20, MINIMUM_SAVING)
    assert len(part.tokens) == 40 + 100 * len(rows)
    units = sum(len(bucket.queries) for bucket in part.buckets)
    assert units == 1 + -(-len(rows) // (UNIT_TOKENS // 100))


def test_masks_waste_little_on_unequal_rows():
    generator = np.random.default_rng(0)
    rows = [generator.integers(0, 999, size=size).tolist() for size in generator.integers(5, 900, size=60)]
    (part,) = pack(rows, 1 << 20)
    area = sum(bucket.allowed.size for bucket in part.buckets)
    assert area < 1.5 * sum(len(row) ** 2 for row in rows)


@given(short_rows)
def test_shared_prefixes_are_the_longest_common_ones(rows):
    order, common = shared_prefixes(rows)
    assert [rows[number] for number in order] == sorted(rows)
    assert common[0] == 0
    for place in range(1, len(order)):
        first, second = rows[order[place - 1]], rows[order[place]]
        longest = max(n for n in range(min(len(first), len(second)) + 1) if first[:n] == second[:n])
        assert common[place] == longest


def test_token_numbers_above_two_bytes_sort_as_numbers():
    order, common = shared_prefixes([[70_000], [255], [70_000, 1], [256]])
    assert order == [1, 3, 0, 2]
    assert common.tolist() == [0, 0, 0, 1]


def test_nothing_packs_to_nothing():
    assert list(pack([], 10)) == []


@pytest.mark.parametrize("budget", [1, 7, 8])
def test_a_row_longer_than_the_budget_stands_alone(budget):
    packs = list(pack([[1] * 20, [2] * 8, [3]], budget))
    assert sorted(part.rows.tolist() for part in packs) == [[0], [1], [2]]
