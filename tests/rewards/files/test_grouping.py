import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError, DataError
from rewards.files.grouping import group_by_prompt


@given(st.lists(st.sampled_from("abcd")), st.integers(0, 6))
def test_grouping_within_a_window_agrees_with_the_whole_or_refuses(prompts, window):
    items = list(enumerate(prompts))
    whole = [[item for item in items if item[1] == key] for key in dict.fromkeys(prompts)]
    fits = all(group[-1][0] - group[0][0] < window for group in whole)
    if window == 0 or fits:
        assert list(group_by_prompt(items, lambda item: item[1], window)) == whole
    else:
        with pytest.raises(DataError, match=f"window of {window} rows ago; raise --window"):
            list(group_by_prompt(items, lambda item: item[1], window))


def test_grouping_within_a_window_reads_no_further_than_it():
    taken = []
    items = (taken.append(n) or n for n in range(1000))
    groups = group_by_prompt(items, lambda n: str(n // 4), window=8)
    assert next(groups) == [0, 1, 2, 3]
    assert len(taken) == 9
    assert next(groups) == [4, 5, 6, 7]
    assert len(taken) == 13


def test_a_negative_window_is_refused():
    with pytest.raises(ConfigError, match="got -1"):
        group_by_prompt([], str, -1)
