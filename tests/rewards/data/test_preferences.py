import gzip
import json
import logging
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.data.hh import ASSISTANT, HUMAN, final_turn, hh_preference
from rewards.data.preferences import FORMATS, load_preferences, recognize_format
from rewards.data.tldr import tldr_preference
from rewards.data.ultrafeedback import binarized_preference, ranks_of, ultrafeedback_ranking
from rewards.errors import ConfigError, DataError, MissingFileError
from rewards.files import Row, Screen, ScreeningConfig, read_rows, write_rows
from rewards.records import Message, Preference, Ranking

HH = Path(__file__).parents[3] / ".." / "shared" / "data" / "hh"
needs_hh = pytest.mark.skipif(not HH.exists(), reason="the HH test splits are not beside the project")


def shared_prompt(first, second):
    """The last mark within the longest common beginning, character by character."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    shared = "".join(character for character, _ in pairs)
    return shared[: shared.rfind(ASSISTANT) + len(ASSISTANT)]


def row(**values):
    return Row(values, "rows.jsonl", 3)


@needs_hh
@pytest.mark.parametrize(
    ("split", "pairs", "longer", "identical"),
    [("helpful-base", 2354, 59.56, 2), ("harmless-base", 2312, 44.25, 0)],
)
def test_the_longer_final_turn_is_chosen_as_often_as_published(split, pairs, longer, identical):
    source = HH / split / "test.jsonl.gz"
    records = list(load_preferences(source))
    assert len(records) == pairs
    share = sum(len(final_turn(pair.chosen)) > len(final_turn(pair.rejected)) for pair in records) / pairs
    assert round(100 * share, 2) == longer
    screen = Screen()
    assert len(list(load_preferences(source, screen=screen))) == pairs - identical
    assert screen.report.found.get("identical", 0) == identical
    assert screen.report.found["empty"] == 4


@needs_hh
@pytest.mark.parametrize("split", ["helpful-base", "harmless-base"])
def test_prompt_and_response_are_the_dialogue_to_the_character(split):
    source = HH / split / "test.jsonl.gz"
    for pair, original in zip(load_preferences(source), read_rows(source), strict=True):
        chosen, rejected = original.values["chosen"], original.values["rejected"]
        assert pair.prompt + pair.chosen == chosen
        assert pair.prompt + pair.rejected == rejected
        assert pair.prompt == shared_prompt(chosen, rejected)
        assert final_turn(pair.chosen) == final_turn(chosen)


TURNS = st.lists(st.sampled_from([" a", " b", "", " a b"]), min_size=1, max_size=4)


@given(TURNS, TURNS)
def test_dialogues_that_part_anywhere_are_cut_at_the_last_shared_mark(first, second):
    chosen = "".join(f"{HUMAN} q{ASSISTANT}{turn}" for turn in first)
    rejected = "".join(f"{HUMAN} q{ASSISTANT}{turn}" for turn in second)
    pair = hh_preference(row(chosen=chosen, rejected=rejected))
    assert (pair.prompt + pair.chosen, pair.prompt + pair.rejected) == (chosen, rejected)
    assert pair.prompt == shared_prompt(chosen, rejected)


def test_dialogues_keep_other_columns_and_refuse_what_is_none():
    dialogue = f"{HUMAN} hi{ASSISTANT} hello"
    pair = hh_preference(row(chosen=dialogue, rejected=dialogue, source="base", id=4))
    assert pair == Preference(f"{HUMAN} hi{ASSISTANT}", " hello", " hello", 0.0, "4", {"source": "base"})
    with pytest.raises(
        DataError, match=r"^rows.jsonl:3: field 'rejected': expected a dialogue of .*, got 'no'"
    ):
        hh_preference(row(chosen=dialogue, rejected="no"))
    with pytest.raises(DataError, match=r"^rows.jsonl:3: .* share no turn of the assistant"):
        hh_preference(row(chosen=dialogue, rejected=dialogue.replace("hi", "ho")))


COMPARISON = {
    "info": {"id": "t3_x", "post": "My cat.\nIt ran.", "title": "Cat", "subreddit": "pets"},
    "summaries": [
        {"text": " Cat ran.", "policy": "sup1", "note": "ok"},
        {"text": " A cat.", "policy": "ref", "note": ""},
    ],
    "choice": 1,
    "worker": "w1",
    "batch": "batch3",
    "split": "train",
    "extra": {"confidence": 8},
}


def test_a_tldr_comparison_is_rendered_as_in_the_paper():
    pair = tldr_preference(row(**COMPARISON))
    assert pair.prompt == "SUBREDDIT: r/pets\n\nTITLE: Cat\n\nPOST: My cat.\nIt ran.\n\nTL;DR:"
    assert (pair.chosen, pair.rejected, pair.id) == (" A cat.", " Cat ran.", "t3_x")
    assert pair.extra == {
        "worker": "w1",
        "batch": "batch3",
        "split": "train",
        "confidence": 8,
        "chosen_policy": "ref",
        "rejected_policy": "sup1",
    }
    assert tldr_preference(row(**COMPARISON | {"choice": 0})).chosen == " Cat ran."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"choice": 2}, "field 'choice': expected 0 or 1, got 2"),
        ({"choice": None}, "field 'choice': expected 0 or 1, got null"),
        ({"summaries": [{"text": "a"}]}, "field 'summaries': expected two summaries"),
        ({"summaries": [{"text": "a"}, {"txt": "b"}]}, "field 'summaries': expected summaries of the form"),
        ({"info": "post"}, "field 'info': expected an object"),
        ({"info": {"title": "t", "subreddit": "s"}}, "field 'info': expected a text in 'post'"),
        ({"info": {"article": "news", "post": None}}, "field 'info': summarises a news article"),
    ],
)
def test_a_broken_tldr_comparison_is_named(change, said):
    with pytest.raises(DataError) as caught:
        tldr_preference(row(**COMPARISON | change))
    assert str(caught.value).startswith("rows.jsonl:3: " + said)


def completion(response, score, rating="4"):
    annotations = {"helpfulness": {"Rating": rating, "Rationale": "..."}, "honesty": {"Rating": "N/A"}}
    return {"response": response, "overall_score": score, "model": "m" + response, "annotations": annotations}


def test_ultrafeedback_is_ranked_by_its_overall_score_with_ties():
    completions = [completion("a", 7), completion("b", 8.5, "5"), completion("c", 7.0), completion("d", 2)]
    record = ultrafeedback_ranking(row(instruction="Do.", completions=completions, source="sharegpt"))
    assert (record.prompt, record.responses) == ((Message("user", "Do."),), ("a", "b", "c", "d"))
    assert record.ranks == (2, 1, 2, 4)
    assert record.extra["source"] == "sharegpt"
    assert record.extra["overall_scores"] == [7, 8.5, 7, 2]
    assert record.extra["models"] == ["ma", "mb", "mc", "md"]
    assert record.extra["aspects"][1] == {"helpfulness": 5.0, "honesty": None}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"response": 3}, "expected completions of the form"),
        ({"overall_score": None}, "expected a number in 'overall_score', got null"),
        ({"annotations": {"honesty": {"Rating": "good"}}}, "as the Rating of 'honesty', got 'good'"),
    ],
)
def test_a_broken_ultrafeedback_row_is_named(broken, said):
    with pytest.raises(DataError) as caught:
        ultrafeedback_ranking(
            row(instruction="Do.", completions=[completion("a", 1), completion("b", 1) | broken])
        )
    assert str(caught.value).startswith("rows.jsonl:3: field 'completions': ")
    assert said in str(caught.value)


@given(st.lists(st.integers(0, 5), min_size=1))
def test_ranks_order_as_scores_do(scores):
    ranks = ranks_of(scores)
    assert min(ranks) == 1
    for i, a in enumerate(scores):
        for j, b in enumerate(scores):
            assert (a > b) == (ranks[i] < ranks[j])


def conversation(answer):
    return [{"role": "user", "content": "Q"}, {"role": "assistant", "content": answer}]


BINARIZED = {
    "prompt": "Q",
    "prompt_id": "f1",
    "chosen": conversation("good"),
    "rejected": conversation("bad"),
    "messages": conversation("good"),
    "score_chosen": 9.0,
    "score_rejected": 3.0,
}


def test_a_binarized_pair_is_a_conversation_with_its_scores_beside_it():
    pair = binarized_preference(row(**BINARIZED))
    assert (pair.prompt, pair.chosen, pair.rejected) == ((Message("user", "Q"),), "good", "bad")
    assert pair.margin == 0.0
    assert pair.extra == {"prompt_id": "f1", "score_chosen": 9.0, "score_rejected": 3.0}
    other = binarized_preference(row(**BINARIZED | {"messages": conversation("another")}))
    assert other.extra["messages"] == conversation("another")


DIALOGUE = {"chosen": f"{HUMAN} q{ASSISTANT} a", "rejected": f"{HUMAN} q{ASSISTANT} b"}
FIRST_ROWS = {
    "hh": DIALOGUE,
    "tldr": COMPARISON,
    "ultrafeedback": {"instruction": "Do.", "completions": [completion("a", 1), completion("b", 2)]},
    "ultrafeedback-binarized": BINARIZED,
    "ranking": {"prompt": "p", "responses": ["a", "b"], "ranks": [2, 1]},
    "preference": {"prompt": "p", "chosen": "a", "rejected": "b"},
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_recognised_by_its_columns_and_said(tmp_path, caplog, name):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [FIRST_ROWS[name]] * 2)
    assert recognize_format(row(**FIRST_ROWS[name])) == name
    with caplog.at_level(logging.INFO):
        records = list(load_preferences(path))
    assert f"recognised as {name}" in caplog.text
    assert len(records) == 2
    assert records == list(load_preferences(path, format=name))
    assert isinstance(records[0], Ranking if name in ("ranking", "ultrafeedback") else Preference)


def test_dialogues_beside_a_prompt_of_their_own_are_ordinary_pairs():
    assert recognize_format(row(prompt="p", **DIALOGUE)) == "preference"


def test_original_files_are_json_lines_whatever_they_are_called(tmp_path):
    batch = tmp_path / "batch3.json"
    batch.write_text("\n".join(json.dumps(COMPARISON) for _ in range(3)))
    assert len(list(load_preferences(batch))) == 3
    packed = tmp_path / "train.jsonl.gz"
    packed.write_bytes(gzip.compress(json.dumps(DIALOGUE).encode()))
    assert [pair.chosen for pair in load_preferences(packed)] == [" a"]


def test_renaming_comes_before_recognition(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"question": "q", "better": "a", "worse": "b"}])
    rename = {"question": "prompt", "better": "chosen", "worse": "rejected"}
    assert list(load_preferences(path, rename=rename)) == [Preference("q", "a", "b")]


def test_what_is_not_recognised_says_what_was_expected(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"question": "q", "answer": "a"}])
    with pytest.raises(
        DataError, match=r"rows.jsonl:1: neither preferences nor rankings.*got question, answer"
    ):
        list(load_preferences(path))
    with pytest.raises(ConfigError, match="got 'webgpt'"):
        load_preferences(path, format="webgpt")
    with pytest.raises(MissingFileError):
        load_preferences(tmp_path / "nowhere.jsonl")


def test_a_broken_later_row_is_named_by_its_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [FIRST_ROWS["preference"], {"prompt": "p", "chosen": 1, "rejected": "b"}])
    with pytest.raises(DataError, match=r"rows.jsonl:2: field 'chosen': expected a text, got 1"):
        list(load_preferences(path))


def test_rows_without_two_completions_are_an_error_or_counted(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [FIRST_ROWS["ultrafeedback"], {"instruction": "Do.", "completions": []}])
    with pytest.raises(DataError, match=r"rows.jsonl:2: fewer than two responses"):
        list(load_preferences(path))
    screen = Screen(ScreeningConfig(no_comparison="drop"))
    assert len(list(load_preferences(path, screen=screen))) == 1
    assert screen.report.dropped == {"no_comparison": 1}


def test_preferences_stream(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [FIRST_ROWS["preference"]])
    with path.open("a") as file:
        file.write('{"prompt": "p", "chosen": "c", "rejected": "d"}\n' * 10_000 + "broken")
    records = load_preferences(path)
    assert [next(records).chosen for _ in range(3)] == ["a", "c", "c"]


def test_a_hub_name_goes_to_datasets(monkeypatch):
    from datasets import Dataset

    def load_dataset(path, **options):
        assert (path, options) == ("Anthropic/hh-rlhf", {"split": "test", "streaming": True})
        return Dataset.from_list([DIALOGUE]).to_iterable_dataset()

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    (pair,) = load_preferences("hub:Anthropic/hh-rlhf?split=test")
    assert (pair.chosen, pair.rejected) == (" a", " b")
