"""`evalkit select`: what is written and said for each method, and every refusal."""

import json
import math
import re

import numpy as np
import pytest

from evalkit.pipeline.config import Select
from evalkit.pipeline.select import run
from rewards.errors import ConfigError, DataError, OutputExistsError


@pytest.fixture
def select(tmp_path, capsys):
    """Run `select` on rows, and return the rows it wrote and the summary it printed."""

    def call(rows, name="out.jsonl", **settings):
        data = tmp_path / "data.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        out = tmp_path / name
        run(Select(data=str(data), out=str(out), **settings))
        written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        return written, capsys.readouterr().out

    return call


def listed(prompt, scores, **columns):
    return {
        "prompt": prompt,
        "responses": [f"{prompt}.{i}" for i in range(len(scores))],
        "scores": scores,
        **columns,
    }


def figure(summary, name):
    """The first number that the summary gives under a name."""
    return float(re.search(rf"^ *{name} +\D*?([\d.]+)", summary, re.MULTILINE)[1])


SPREAD = [listed(f"p{i}", np.random.default_rng(i).normal(size=32).tolist()) for i in range(20)]


def test_best_of_n_writes_the_k_best_of_each_prompt_with_their_columns(select):
    rows = [
        {"prompt": "a", "response": "bad", "score": 0.0, "source": "x", "id": "1"},
        {"prompt": "b", "response": "only", "score": -9.0},
        {"prompt": "a", "response": "best", "score": 2.0, "source": "y", "id": "2"},
        {"prompt": "b", "response": "more", "score": -8.5},
        {"prompt": "a", "response": "good", "score": 1.0, "source": "z", "id": "3"},
    ]
    written, summary = select(rows, k=2)
    assert written == [
        {"prompt": "a", "response": "best", "id": "2", "score": 2.0, "source": "y", "selected_rank": 1},
        {"prompt": "a", "response": "good", "id": "3", "score": 1.0, "source": "z", "selected_rank": 2},
        {"prompt": "b", "response": "more", "score": -8.5, "selected_rank": 1},
        {"prompt": "b", "response": "only", "score": -9.0, "selected_rank": 2},
    ]
    assert [figure(summary, name) for name in ("prompts", "candidates", "chosen", "rows written")] == [
        2,
        5,
        4,
        4,
    ]


def test_lists_of_responses_come_out_as_single_responses_with_their_own_elements(select):
    written, _ = select([listed("p", [0.5, 2.5, 1.0], golds=[7, 8, 9], level="hard")])
    assert written == [
        {"prompt": "p", "response": "p.1", "golds": 8, "level": "hard", "score": 2.5, "selected_rank": 1}
    ]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"k": 3}, {"method": "majority-vote"}),
        ({"k": 3}, {"method": "weighted-vote"}),
        ({"k": 3, "method": "rejection", "beta": 9.0}, {}),
        ({"method": "majority-vote"}, {}),
        ({"method": "weighted-vote"}, {"method": "weighted-vote"}),
    ],
)
def test_a_selection_can_be_selected_from(select, first, then):
    columns = {"answers": ["1", "2", "1", "3"], "scores_aspects": [{"a": n} for n in range(4)]}
    chosen, _ = select([listed("p", [0.5, 2.5, 1.0, 0.1], **columns)], "first.jsonl", **first)
    for row in chosen:
        place = int(row["response"][-1])
        assert row["score"] == [0.5, 2.5, 1.0, 0.1][place]
        assert row["answer"] == columns["answers"][place]
        assert row["score_aspects"] == {"a": place}
        assert not {"scores", "answers", "scores_aspects"} & set(row)
    again, _ = select(chosen, "again.jsonl", **then)
    assert len(again) == 1
    assert again[0]["response"] in {row["response"] for row in chosen}


def test_a_column_that_is_there_is_not_replaced_by_an_element(select):
    row = listed("p", [0.5, 2.5], answers=["1", "2"], answer="of the book")
    written, _ = select([row])
    assert (written[0]["answer"], written[0]["answers"]) == ("of the book", "2")
    row = listed("p", [0.5, 2.5], answers=["one", "answer", "too many"])
    assert select([row], overwrite=True)[0][0]["answers"] == ["one", "answer", "too many"]


def test_n_uses_the_first_samples_only(select):
    written, summary = select([listed("p", [0.0, 1.0, 9.0])], n=2)
    assert written[0]["response"] == "p.1"
    assert figure(summary, "candidates") == 2


def test_ties_at_the_cut_are_counted_and_broken_by_the_seed(select):
    rows = [listed(f"p{i}", [1.0, 1.0, 1.0, 0.0]) for i in range(30)]
    first, summary = select(rows, seed=1)
    assert "30 prompts, 90 candidates; the seed decided" in summary
    assert {row["response"][-1] for row in first} == {"0", "1", "2"}
    again, _ = select(rows, seed=1, overwrite=True)
    other, _ = select(rows, seed=2, overwrite=True)
    assert first == again != other


def test_message_prompts_group_and_come_out_as_they_went_in(select):
    prompt = [{"role": "user", "content": "hi"}]
    rows = [{"prompt": prompt, "response": text, "score": score} for text, score in (("a", 0.0), ("b", 1.0))]
    written, _ = select(rows)
    assert written == [{"prompt": prompt, "response": "b", "score": 1.0, "selected_rank": 1}]


def test_rejection_reports_acceptance_near_its_closed_form(select):
    written, summary = select(SPREAD, method="rejection", k=4, beta=0.7)
    assert len(written) == 80
    expected = np.mean([np.exp((np.array(r["scores"]) - max(r["scores"])) / 0.7).mean() for r in SPREAD])
    observed, said = re.search(r"acceptance +([\d.]+) of the first pass, ([\d.]+) expected", summary).groups()
    assert float(said) == pytest.approx(expected, abs=1e-4)
    # 640 draws: the standard error is below 0.02
    assert float(observed) == pytest.approx(expected, abs=0.06)


def test_small_beta_chooses_what_best_of_n_chooses_and_large_beta_does_not_look(select):
    best, _ = select(SPREAD, "best.jsonl", k=3)
    cold, _ = select(SPREAD, "cold.jsonl", k=3, method="rejection", beta=1e-6)
    assert cold == best
    hot, summary = select(SPREAD, "hot.jsonl", k=16, method="rejection", beta=1e9)
    assert "1.0000 of the first pass, 1.0000 expected" in summary
    # Not the first 16 of each file: the places chosen are spread over all 32.
    places = [int(row["response"].split(".")[1]) for row in hot]
    assert np.mean(places) == pytest.approx(15.5, abs=2)


def test_rows_sorted_by_score_are_chosen_from_as_any_others(select):
    rising = [listed(f"p{i}", np.linspace(0, 1, 32).tolist()) for i in range(200)]
    falling = [listed(f"p{i}", np.linspace(1, 0, 32).tolist()) for i in range(200)]
    means = [
        np.mean([row["score"] for row in select(rows, k=4, method="rejection", overwrite=True)[0]])
        for rows in (rising, falling)
    ]
    # The order as given would leave 0.2 between the two; the sd of a score is 0.3, of these means 0.01.
    assert means[0] == pytest.approx(means[1], abs=0.05)


def test_copies_of_a_text_are_merged_before_sampling_and_the_first_score_kept(select):
    rows = [{"prompt": "p", "response": text, "score": score} for text, score in
            (("a", 1.0), ("a", 1.0), ("b", 0.5), ("a", 3.0), ("c", 0.0), ("b", 0.500001))]  # fmt: skip
    written, summary = select(rows, method="rejection", k=3)
    assert sorted((row["response"], row["score"]) for row in written) == [("a", 1.0), ("b", 0.5), ("c", 0.0)]
    assert figure(summary, "copies merged") == 3
    assert figure(summary, "with another score") == 1


def test_too_few_different_responses_are_an_error_or_a_counted_shortfall(select):
    copies = {"prompt": "short", "responses": ["same", "same"], "scores": [1.0, 1.0]}
    rows = [listed("full", [0.0, 1.0, 2.0]), copies]
    with pytest.raises(DataError, match=r"jsonl:2: prompt 'short' has 1 different responses among 2.*k = 2"):
        select(rows, method="rejection", k=2)
    kept, summary = select(rows, method="rejection", k=2, too_few="keep")
    assert [row["prompt"] for row in kept] == ["full", "full", "short"]
    assert figure(summary, "fewer than k") == 1
    dropped, summary = select(rows, method="rejection", k=2, too_few="drop", overwrite=True)
    assert [row["prompt"] for row in dropped] == ["full", "full"]
    assert "left out" in summary


def test_the_choice_depends_neither_on_the_window_nor_on_how_rows_are_split(select):
    whole, _ = select(SPREAD, "a.jsonl", method="rejection", k=5)
    windowed, _ = select(SPREAD, "b.jsonl", method="rejection", k=5, window=1)
    single = [
        {"prompt": row["prompt"], "response": response, "score": score}
        for row in SPREAD
        for response, score in zip(row["responses"], row["scores"], strict=True)
    ]
    split, _ = select(single, "c.jsonl", method="rejection", k=5, window=32)
    assert whole == windowed == split


def test_another_prompts_responses_change_nothing(select):
    before, _ = select(SPREAD, "a.jsonl", method="rejection", k=5)
    changed = [listed("p0", [0.0] * 40), *SPREAD[1:]]
    after, _ = select(changed, "b.jsonl", method="rejection", k=5)
    assert before[5:] == after[5:]
    assert before[:5] != after[:5]


@pytest.mark.parametrize(("kind", "count"), [("first-round", 4), ("tournament", 7), ("all", 28)])
def test_pairs_are_of_the_chosen_better_first_with_the_difference_of_reward(select, kind, count):
    written, summary = select(SPREAD, method="rejection", k=8, pairs=kind)
    assert len(written) == 20 * count == figure(summary, "pairs")
    scores = {
        text: score for row in SPREAD for text, score in zip(row["responses"], row["scores"], strict=True)
    }
    for row in written:
        assert set(row) == {"prompt", "chosen", "rejected", "reward_margin"}
        assert row["reward_margin"] == scores[row["chosen"]] - scores[row["rejected"]] > 0


def test_equal_rewards_make_no_pair_and_are_counted(select):
    written, summary = select([listed("p", [1.0, 1.0, 0.0])], k=3, pairs="all")
    assert len(written) == 2
    assert "2 (all); 1 matches of equal reward made none" in summary


def test_majority_vote_writes_the_first_response_with_the_winning_answer(select):
    rows = [
        {"prompt": "q", "responses": ["w", "x", "y", "z"], "answers": ["4", "5", None, "5"]},
        {"prompt": "silent", "responses": ["u", "v"], "answers": [None, ""]},
    ]
    written, summary = select(rows, method="majority-vote")
    assert written == [
        {"prompt": "q", "response": "x", "answer": "5", "selected_votes": 2, "selected_share": 2 / 3}
    ]
    assert figure(summary, "votes") == 3
    assert figure(summary, "prompts without a vote") == 1


def test_weighted_vote_writes_the_heaviest_response_with_the_winning_answer(select):
    row = {
        "prompt": "q",
        "responses": ["w", "x", "y", "z"],
        "answers": ["4", "4", "4", "5"],
        "scores": [0.1, 0.3, 0.1, 0.4],
    }
    written, _ = select([row], method="weighted-vote")
    assert written[0]["response"] == "x"
    assert written[0]["selected_share"] == pytest.approx(0.5 / 0.9)


def test_scores_below_0_become_weights_as_asked(select):
    row = {
        "prompt": "q",
        "responses": ["x", "y", "z"],
        "answers": ["4", "4", "5"],
        "scores": [-1.0, -1.0, 0.0],
    }
    with pytest.raises(DataError, match=r"score -1.0.*--vote_weight sigmoid or tilted"):
        select([row], method="weighted-vote")
    sigmoid, _ = select([row], method="weighted-vote", vote_weight="sigmoid")
    # 2 / (1 + e) against 1 / 2
    assert sigmoid[0]["answer"] == "4"
    assert sigmoid[0]["selected_share"] == pytest.approx((2 / (1 + math.e)) / (2 / (1 + math.e) + 0.5))
    cold, _ = select([row], method="weighted-vote", vote_weight="tilted", beta=0.5, overwrite=True)
    # 2 exp(-2) against 1
    assert cold[0]["answer"] == "5"
    assert cold[0]["selected_share"] == pytest.approx(1 / (1 + 2 * math.exp(-2)))


@pytest.mark.parametrize(
    ("row", "settings", "said"),
    [
        ({"prompt": "p", "response": "r"}, {}, r"jsonl:2: no column 'score', only prompt, response; --score"),
        (
            {"prompt": "p", "response": "r", "score": None},
            {},
            "jsonl:2: field 'score'.*finite number, got null",
        ),
        ({"prompt": "p", "response": "r", "score": math.nan}, {}, "jsonl:2: field 'score'.*got nan"),
        ({"prompt": "p", "response": "r", "score": True}, {}, "jsonl:2: field 'score'.*got True"),
        ({"prompt": "p", "response": "r", "score": "high"}, {}, "jsonl:2: field 'score'.*got 'high'"),
        ({"prompt": "p", "responses": ["r", "s"], "scores": [1.0]}, {}, "jsonl:2: field 'scores'.*2 values"),
        ({"prompt": "p", "response": "r", "score": 0.0}, {"n": 2}, r"prompt 'ok' has 1 responses.*n = 2"),
        ({"prompt": "p", "response": "r", "score": 0.0}, {"method": "majority-vote"}, "no column 'answer'"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(select, tmp_path, row, settings, said):
    rows = [{"prompt": "ok", "response": "r", "score": 1.0}, row]
    with pytest.raises(DataError, match=said):
        select(rows, **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"beta": 0.0}, "beta is above 0, got 0.0"),
        ({"beta": math.nan}, "got nan"),
        ({"k": 0}, "k is 1 or more"),
        ({"k": 3, "n": 2}, "k = 3 of n = 2"),
        ({"seed": -1}, "seed is 0 or more"),
        ({"pairs": "all"}, "k is 2 or more"),
        ({"method": "majority-vote", "k": 2}, "do not apply"),
    ],
)
def test_settings_that_make_no_sense_are_refused_at_once(settings, said):
    with pytest.raises(ConfigError, match=said):
        Select(data="data.jsonl", out="out.jsonl", **settings)


def test_a_finished_output_stays_without_overwrite_and_the_data_always(select):
    select(SPREAD)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        select(SPREAD)
    with pytest.raises(ConfigError, match="is an input and would be changed"):
        select(SPREAD, "data.jsonl", overwrite=True)


def test_nothing_selected_is_an_error_that_says_why(select, tmp_path):
    with pytest.raises(DataError, match="3 matches are between equal rewards"):
        select([listed("p", [1.0, 1.0, 1.0])], k=3, pairs="all")
    assert not (tmp_path / "out.jsonl").exists()


def test_how_samples_ended_is_told_of_each_that_is_selected_or_paired(select):
    columns = {"finish_reasons": ["length", "eos", "stop"], "token_counts": [9, 4, 5]}
    row = listed("p", [0.5, 2.5, 1.0], **columns)
    best, _ = select([row])
    assert (best[0]["finish_reason"], best[0]["token_count"]) == ("eos", 4)
    pairs, _ = select([row], "pairs.jsonl", k=3, pairs="all")
    ends = {
        (pair["chosen"], pair["rejected"]): (pair["chosen_finish_reason"], pair["rejected_finish_reason"])
        for pair in pairs
    }
    assert ends == {
        ("p.1", "p.0"): ("eos", "length"),
        ("p.1", "p.2"): ("eos", "stop"),
        ("p.2", "p.0"): ("stop", "length"),
    }
