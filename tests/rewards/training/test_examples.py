import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.encoding.encoder import Encoder
from rewards.errors import DataError
from rewards.records import Message, Preference, Ranking
from rewards.training.examples import RankingExample, encode_preferences, hold_out

BOS, EOS = 0, 1
LONG = "one two three four five six seven eight nine ten eleven twelve "


@pytest.fixture
def encoder(make_tokenizer):
    return Encoder(make_tokenizer(chat=True), True, 200)


def lengths(encoder, record):
    (example,) = encode_preferences([record], Encoder(encoder.tokenizer, True, 10_000), "error").examples
    return [len(row) for row in example.rows]


def test_preferences_and_rankings_are_one_example_each(encoder):
    talk = (Message("user", "Why?"),)
    records = [
        Preference("Why", " blue", " red", margin=0.5),
        Ranking("What", (" good", " bad", " best"), (2, 3, 1)),
        Preference(talk, "blue", "red"),
    ]
    encoded = encode_preferences(records, encoder, "error")
    pair, ranking, chat = encoded.examples
    assert pair.rows == tuple(map(tuple, encoder.encode(["Why"] * 2, [" blue", " red"])))
    assert (pair.ranks, pair.margin, pair.prompt) == ((1, 2), 0.5, "Why")
    assert ranking.rows == tuple(map(tuple, encoder.encode(["What"] * 3, [" good", " bad", " best"])))
    assert (ranking.ranks, ranking.margin) == ((2, 3, 1), 0.0)
    assert chat.rows == tuple(map(tuple, encoder.encode([talk] * 2, ["blue", "red"])))
    assert encoded.counts == {"truncated": 0, "dropped": 0}
    assert encode_preferences([], encoder, "error").examples == ()


def test_an_over_long_row_is_an_error_that_names_the_record(encoder):
    encoder.max_length = 20
    records = [Preference("Why", " blue", " red"), Preference(LONG * 3, " blue", " red", id="q2")]
    with pytest.raises(DataError, match=r"record 2, id 'q2': has a row of \d+ tokens and the model takes 20"):
        encode_preferences(records, encoder, "error")


def test_all_responses_of_a_prompt_lose_the_same_tokens(encoder):
    record = Ranking(LONG * 3, (" blue", " red", " Light is scattered by the air"), (1, 2, 3))
    whole = lengths(encoder, record)
    encoder.max_length = max(whole) - 7
    encoded = encode_preferences([record], encoder, "truncate_left")
    (example,) = encoded.examples
    assert [len(row) for row in example.rows] == [length - 7 for length in whole]
    (full,) = encode_preferences([record], Encoder(encoder.tokenizer, True, 10_000), "error").examples
    for cut, row in zip(example.rows, full.rows, strict=True):
        assert cut == (BOS, *row[8:])
        assert cut[-1] == EOS
    assert encoded.counts == {"truncated": 1, "dropped": 0}


@pytest.mark.parametrize(("policy", "counts"), [("truncate_left", (1, 1)), ("drop", (0, 2))])
def test_what_over_long_records_come_to_is_counted(encoder, policy, counts):
    records = [
        Preference("Why", " blue", " red"),
        Preference(LONG * 3, " blue", " red"),
        Preference("Why", LONG * 3, " red"),  # too long even without its prompt
    ]
    encoder.max_length = 30
    encoded = encode_preferences(records, encoder, policy)
    assert (encoded.counts["truncated"], encoded.counts["dropped"]) == counts
    assert len(encoded.examples) == 3 - counts[1]
    assert all(len(row) <= 30 for example in encoded.examples for row in example.rows)


def test_a_prompt_is_cut_as_far_as_its_tightest_response_allows(encoder):
    # One response merges with the prompt's last token, so that less of the prompt may go there.
    record = Preference("The capital of Fra", "! Light is scattered by the air", "nce")
    rooms = [
        encoder.cuttable(row, record.prompt)
        for row in encoder.encode([record.prompt] * 2, [record.chosen, record.rejected])
    ]
    assert rooms[1] < rooms[0]
    longest = max(lengths(encoder, record))
    for excess, counts in ((rooms[1], (1, 0)), (rooms[1] + 1, (0, 1))):
        encoder.max_length = longest - excess
        encoded = encode_preferences([record], encoder, "truncate_left")
        assert (encoded.counts["truncated"], encoded.counts["dropped"]) == counts


def examples(prompts):
    return [
        RankingExample(((number,), (number, 1)), (1, 2), 0.0, prompt) for number, prompt in enumerate(prompts)
    ]


@given(
    st.lists(st.sampled_from("abcdefghij"), min_size=4), st.sampled_from([0.1, 0.3, 0.5]), st.integers(0, 99)
)
def test_a_prompt_is_never_on_both_sides(prompts, share, seed):
    all_of_them = examples(prompts)
    number = round(share * len(set(prompts)))
    if not 0 < number < len(set(prompts)):
        with pytest.raises(DataError, match="too few to hold out"):
            hold_out(all_of_them, share, seed)
        return
    train, held = hold_out(all_of_them, share, seed)
    assert not {one.prompt for one in train} & {one.prompt for one in held}
    assert len({one.prompt for one in held}) == number
    assert sorted([*train, *held], key=lambda one: one.rows) == all_of_them
    assert hold_out(all_of_them[::-1], share, seed)[1] == held[::-1]  # the order of the file plays no part


def test_another_seed_holds_out_other_prompts():
    prompts = [str(number) for number in range(200)]
    first, second = (hold_out(examples(prompts), 0.1, seed)[1] for seed in (0, 1))
    assert len(first) == len(second) == 20
    assert first != second
    assert hold_out(examples(prompts), 0.0, 0) == (examples(prompts), [])
