"""`evalkit search`: a small world whose best path is known, every method's rule, and what it costs."""

import json
import os
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.cli import main
from evalkit.policies.generation.randomness import sample_keys, uniforms
from evalkit.policies.policy import DEFAULT_SAMPLING, SamplingConfig
from evalkit.search import command
from evalkit.search.budget import Budget
from evalkit.search.choosing import choose
from evalkit.search.config import Search
from evalkit.search.prompts import SearchRow
from evalkit.search.rounds import Limits, Searcher
from evalkit.search.trees import FINISHED, OVER_LENGTH, OVER_STEPS, PartialSolution, Shape, Tree, shape_of
from rewards.errors import ConfigError, DataError, OutputExistsError, ScoringError
from rewards.files import Row
from rewards.records import Generation, Prompt, Score, prompt_key
from rewards.scorers.rules import Length
from rewards.selection import majority_vote, weighted_vote
from rewards.solutions.steps import split_steps
from tests.processes import Forked

DEPTH = 3
METHODS = ("best-of-n", "weighted-majority", "beam", "dvts")


class Digits:
    """Writes DEPTH numbers below `base`, one a line, and ends: each number, line end and end is a token."""

    def __init__(self, base: int = 4, context: int = 1_000_000, calls: int = 1_000_000) -> None:
        self.base, self.context, self.calls = base, context, calls
        self.asked: list[tuple[str, int]] = []
        self.tokens = 0

    def check(self, prompts: Sequence[Prompt], names: Sequence[str]) -> None:
        for prompt, name in zip(prompts, names, strict=True):
            if len(prompt_key(prompt)) > self.context:
                raise DataError(f"{name}: the prompt is too long")

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        settings: SamplingConfig = DEFAULT_SAMPLING,
        occurrences: Sequence[int] | None = None,
    ) -> list[list[Generation]]:
        if not self.calls:
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls -= 1
        self.check(prompts, [f"prompt {place}" for place, _ in enumerate(prompts)])
        counts = [0] * len(prompts) if occurrences is None else occurrences
        made = []
        for prompt, count in zip(prompts, counts, strict=True):
            self.asked.append((prompt_key(prompt), count))
            left = DEPTH - prompt_key(prompt).count("\n")
            keys = sample_keys(settings.seed, prompt, count, n)
            numbers = [(uniforms(keys, place) * self.base).astype(int).tolist() for place in range(left)]
            samples = [self._write(prompt, own, settings) for own in zip(*numbers, strict=True)]
            self.tokens += sum(sample.extra["token_count"] for sample in samples)
            made.append(samples)
        return made

    def _write(self, prompt: Prompt, numbers: Sequence[int], settings: SamplingConfig) -> Generation:
        text, written, reason = "", 0, "length"
        for place, number in enumerate(numbers):
            for token in (str(number), "\n" if place + 1 < len(numbers) else ""):
                if written == settings.max_new_tokens:
                    return Generation(prompt, text, extra={"finish_reason": "length", "token_count": written})
                written += 1
                reason = "stop" if token in settings.stop else "eos"
                if reason == "stop":
                    return Generation(prompt, text, extra={"finish_reason": "stop", "token_count": written})
                text += token
        return Generation(prompt, text, extra={"finish_reason": reason, "token_count": written})


class Truth:
    """Scores by the number of right steps before the first wrong one; right is each prompt's own path."""

    def __init__(self, base: int = 4) -> None:
        self.base = base
        self.scored: list[tuple[Prompt, str]] = []

    def path(self, prompt: Prompt) -> list[str]:
        numbers = uniforms(sample_keys(99, prompt, 0, DEPTH), 0) * self.base
        return [str(int(number)) for number in numbers]

    def score(self, generations: Sequence[Generation]) -> list[Score]:
        self.scored += [(one.prompt, one.response) for one in generations]
        return [Score(float(self._right(one))) for one in generations]

    def _right(self, generation: Generation) -> int:
        right = 0
        for step, wanted in zip(generation.steps, self.path(generation.prompt), strict=False):
            if step.strip() != wanted:
                break
            right += 1
        return right


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from test_search import Digits, Truth
from evalkit.search.config import Search
from evalkit.search import command
command.load_policy = lambda spec: Digits(calls=int(sys.argv[4]))
command.load_scorer = lambda spec: Truth()
command.run(Search("digits", "truth", sys.argv[2], sys.argv[3], n=4, width=2, chunk_prompts=3))
"""


@pytest.fixture
def world(monkeypatch):
    """Return the policy and the scorer that a run finds."""
    policy, scorer = Digits(), Truth()
    monkeypatch.setattr(command, "load_policy", lambda spec: {"digits": policy}[spec])
    monkeypatch.setattr(command, "load_scorer", lambda spec: {"truth": scorer}[spec])
    return policy, scorer


@pytest.fixture
def config(tmp_path, write_rows):
    rows = [
        {"prompt": f"question {i} ", "id": str(i), "answer": Truth().path(f"question {i} ")[-1], "topic": [i]}
        for i in range(10)
    ]
    data = write_rows("prompts.jsonl", rows)
    return Search("digits", "truth", data, str(tmp_path / "out.jsonl"), n=4, width=2, chunk_prompts=3)


def written(config: Search) -> list[dict]:
    return [json.loads(line) for line in Path(config.out).read_text(encoding="utf-8").splitlines()]


def problem(prompt: Prompt, repetition: int = 0) -> SearchRow:
    return SearchRow(Row({"prompt": prompt}, "data.jsonl", 1), prompt, repetition)


def searched(prompt: Prompt, shape: Shape, policy=None, scorer=None, repetition=0, **limits):
    kept = Limits(**{"steps": 40, "tokens": 100, "step_tokens": 50, "separator": "\n", **limits})
    searcher = Searcher(policy or Digits(), scorer or Truth(), shape, kept, SamplingConfig(seed=7))
    return searcher.search([problem(prompt, repetition)])[0]


def texts(search) -> list[str]:
    return [solution.text for solution in search.ended()]


# The methods


def test_a_beam_finds_the_right_path_exactly_where_it_is_among_its_expansions():
    """Right beginnings score strictly highest, so the beam holds all of them, or as many as it has places."""
    policy, scorer, n, width = Digits(), Truth(), 4, 2
    settings = SamplingConfig(seed=7, stop=("\n",))
    outcomes = Counter()
    for number in range(60):
        prompt = f"problem {number}: "
        path, prefix, parents = scorer.path(prompt), prompt, [0]
        for step, wanted in enumerate(path):
            found = 0
            for occurrence in parents:
                (candidates,) = policy.generate([prefix], width if step else n, settings, [occurrence])
                found += [one.response for one in candidates].count(wanted)
            parents = list(range(min(found, n // width)))
            prefix += wanted + "\n"
        search = searched(prompt, shape_of("beam", n, width))
        assert ("\n".join(path) in texts(search)) == bool(parents)
        outcomes[bool(parents)] += 1
    assert min(outcomes[True], outcomes[False]) > 5


def test_each_tree_of_dvts_is_what_it_is_alone():
    for number in range(20):
        together = searched(f"problem {number}: ", shape_of("dvts", 12, 3))
        alone = [
            searched(f"problem {number}: ", Shape(1, 1, 3, 3, whole=False), repetition=tree)
            for tree in range(4)
        ]
        assert [tree.ended for tree in together.trees] == [one.trees[0].ended for one in alone]
        assert together.budget.tokens_sampled == sum(one.budget.tokens_sampled for one in alone)


def test_dvts_keeps_the_best_of_each_tree_where_a_beam_keeps_the_best_of_all():
    """The steps after which a tree goes on are the best of its own: its solutions share all but the last."""
    for number in range(20):
        search = searched(f"problem {number}: ", shape_of("dvts", 8, 2))
        for tree in search.trees:
            assert len({one.text.rpartition("\n")[0] for one in tree.ended}) == 1


@pytest.mark.parametrize("method", ["beam", "dvts"])
def test_one_beam_of_width_one_is_plain_sampling_step_by_step(method):
    policy, prompt, settings = Digits(), "one: ", SamplingConfig(seed=7, stop=("\n",))
    text, reason = "", "stop"
    while reason == "stop":
        ((sample,),) = policy.generate([prompt + text], 1, settings, [0])
        reason = sample.extra["finish_reason"]
        text += sample.response + ("\n" if reason == "stop" else "")
    assert texts(searched(prompt, shape_of(method, 1, 1))) == [text]


def test_best_of_n_is_what_generate_samples_and_the_first_of_the_highest_scores(config, world):
    command.run(replace(config, method="best-of-n", n=8))
    policy, scorer = world
    for row in written(config):
        (samples,) = policy.generate([row["prompt"]], 8, SamplingConfig(), [0])
        assert row["responses"] == [sample.response for sample in samples]
        steps = [split_steps(text, "\n") for text in row["responses"]]
        assert row["steps"] == [list(one) for one in steps]
        alone = [scorer.score([Generation(row["prompt"], "".join(one), one)])[0].value for one in steps]
        assert row["scores"] == alone
        assert row["best_response"] == row["responses"][alone.index(max(alone))]
        assert row["best_score"] == max(alone)


@pytest.mark.usefixtures("world")
def test_votes_are_those_of_selection_over_the_same_samples(config):
    command.run(replace(config, method="weighted-majority", n=16))
    different = 0
    for row in written(config):
        assert row["answers"] == [text.split("\n")[-1] for text in row["responses"]]
        assert row["voted_answer"] == weighted_vote(row["answers"], row["scores"])
        assert row["majority_answer"] == majority_vote(row["answers"], row["scores"])
        index = row["responses"].index(row["voted_response"])
        voters = [
            score
            for score, answer in zip(row["scores"], row["answers"], strict=True)
            if answer == row["voted_answer"]
        ]
        assert (row["answers"][index], row["scores"][index]) == (row["voted_answer"], max(voters))
        different += row["voted_answer"] != row["majority_answer"]
    assert different


def test_equal_texts_in_a_beam_are_continued_differently():
    policy = Digits(base=1)  # every candidate of a step is the same text
    searched("same: ", shape_of("beam", 6, 2), policy)
    assert policy.asked == [("same: ", 0)] + [
        (prefix, count) for prefix in ("same: 0\n", "same: 0\n0\n") for count in range(3)
    ]


def test_rows_with_the_same_prompt_are_searched_differently_and_share_no_occurrence():
    asked = []
    for repetition in range(3):
        policy = Digits(base=1)
        searched("same: ", shape_of("beam", 6, 2), policy, repetition=repetition)
        asked += policy.asked
    assert len(asked) == len(set(asked))


# The rule of a tree, by hand


def grown(tree: Tree, *candidates: tuple[str, str, float]) -> list[str]:
    """Let a tree take (text, ending, score) candidates; return what it continues."""
    GRADES.update({text: Score(score) for text, _, score in candidates})
    tree.grow([PartialSolution(text, 1, ending) for text, ending, _ in candidates], GRADES)
    return [extension.parent.text for extension in tree.extensions]


GRADES: dict[str, Score] = {}


def test_a_finished_solution_holds_its_place_and_comes_back_into_one():
    tree = Tree(Shape(1, 2, 4, 2, whole=False), most_steps=9, base=0)
    assert grown(tree, ("a", "", 0.9), ("b", FINISHED, 0.5), ("c", "", 0.8), ("d", "", 0.1)) == ["a", "c"]
    # b had no place; now that the others are worse it holds the second, and is not continued.
    assert grown(tree, ("aa", "", 0.6), ("ab", "", 0.4), ("ca", "", 0.3), ("cb", "", 0.2)) == ["aa"]
    # All places are held by finished solutions: the search ends.
    assert grown(tree, ("aaa", FINISHED, 0.5), ("aab", "", 0.45)) == []
    assert [one.text for one in tree.ended] == ["b", "aaa"]


def test_of_equal_scores_the_one_written_first_is_kept():
    tree = Tree(Shape(1, 2, 4, 2, whole=False), most_steps=9, base=0)
    assert grown(tree, ("a", "", 0.5), ("b", "", 0.5), ("c", "", 0.5)) == ["a", "b"]
    assert choose([0.5, 0.5], ["1", "2"], [FINISHED] * 2).best == 0


def test_a_cut_solution_takes_no_place_but_is_kept():
    tree = Tree(Shape(1, 1, 2, 2, whole=False), most_steps=9, base=0)
    assert grown(tree, ("a", OVER_LENGTH, 0.9), ("b", "", 0.1)) == ["b"]
    assert grown(tree, ("ba", OVER_LENGTH, 0.9)) == []
    assert [one.text for one in tree.ended] == ["a", "ba"]


def test_the_last_step_cuts_what_is_not_finished():
    tree = Tree(Shape(1, 1, 2, 2, whole=False), most_steps=2, base=0)
    assert grown(tree, ("a", "", 0.2), ("b", "", 0.1)) == ["a"]
    assert grown(tree, ("aa", "", 0.2), ("ab", FINISHED, 0.1)) == []
    assert [(one.text, one.ending) for one in tree.ended] == [("aa", OVER_STEPS), ("ab", FINISHED)]


def test_the_choice_is_among_finished_solutions_where_there_are_any():
    found = choose([0.9, 0.2, 0.3], ["1", "2", "3"], [OVER_LENGTH, FINISHED, FINISHED])
    assert (found.best, found.voted_answer, found.majority_answer) == (2, "3", "3")
    found = choose([0.1, 0.2, 0.15], ["1", None, "1"], [OVER_LENGTH, OVER_STEPS, OVER_STEPS])
    assert (found.best, found.voted_answer, found.voted) == (1, "1", 2)
    found = choose([0.1], [None], [FINISHED])
    assert (found.best, found.voted, found.majority) == (0, None, None)
    with pytest.raises(ConfigError, match="finite"):
        choose([float("inf")], ["1"], [FINISHED])


# The budget


@pytest.mark.parametrize(
    ("method", "prefixes", "prefix_tokens", "calls", "candidates", "scored"),
    [("best-of-n", 1, 0, 1, 4, 4), ("beam", 5, 12, 3, 12, 12), ("dvts", 6, 12, 3, 12, 12)],
)
def test_the_budget_is_a_count_by_hand(method, prefixes, prefix_tokens, calls, candidates, scored):
    """Four candidates a step of two tokens, three steps; numbers so large that no text repeats."""
    spent = searched("p: ", shape_of(method, 4, 2), Digits(base=10**9), Truth(10**9)).budget
    assert spent.tokens_sampled == 24
    assert (spent.prefixes, spent.prefix_tokens) == (prefixes, prefix_tokens)
    assert (spent.policy_calls, spent.scorer_calls) == (calls, calls)
    assert (spent.candidates, spent.solutions_scored, spent.steps_scored) == (candidates, scored, 12)


def test_equal_candidates_are_scored_once_and_their_shared_steps_counted_once():
    scorer = Truth()
    spent = searched("same: ", shape_of("beam", 6, 2), Digits(base=1), scorer).budget
    assert [text for _, text in scorer.scored] == ["0\n", "0\n0\n", "0\n0\n0"]
    assert (spent.candidates, spent.solutions_scored, spent.steps_scored) == (18, 3, 3)
    spent = searched("same: ", shape_of("best-of-n", 6, 2), Digits(base=1), Truth()).budget
    assert (spent.candidates, spent.solutions_scored, spent.steps_scored) == (6, 1, 3)


@pytest.mark.parametrize("method", METHODS)
def test_rows_account_for_every_token_and_every_score(method, config, world, capsys):
    command.run(replace(config, method=method))
    policy, scorer = world
    budgets = [row["budget"] for row in written(config)]
    assert sum(budget["tokens_sampled"] for budget in budgets) == policy.tokens
    assert sum(budget["prefixes"] for budget in budgets) == len(policy.asked)
    assert sum(budget["solutions_scored"] for budget in budgets) == len(scorer.scored)
    assert len(scorer.scored) == len(set(scorer.scored))
    said = capsys.readouterr().out
    assert f"{policy.tokens:,} tokens sampled in" in said
    calls = 1_000_000 - policy.calls
    assert f"{calls} calls of the policy" in said
    assert not any("second" in name for row in written(config) for name in (*row, *row["budget"]))


# The same rows, whatever happens


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("method", ["best-of-n", "beam", "dvts"])
def test_rows_depend_on_neither_chunks_nor_order_nor_time(method, config):
    command.run(replace(config, method=method))
    first = Path(config.out).read_bytes()
    command.run(replace(config, method=method, overwrite=True))
    assert Path(config.out).read_bytes() == first
    command.run(replace(config, method=method, chunk_prompts=7, overwrite=True))
    assert Path(config.out).read_bytes() == first
    lines = Path(config.data).read_text().splitlines()
    Path(config.data).write_text("\n".join(reversed(lines)))
    command.run(replace(config, method=method, overwrite=True))
    assert Path(config.out).read_bytes().splitlines()[::-1] == first.splitlines()
    command.run(replace(config, method=method, seed=1, overwrite=True))
    assert Path(config.out).read_bytes().splitlines()[::-1] != first.splitlines()


@pytest.mark.parametrize(("calls", "done"), [(0, 0), (4, 3), (10, 9)])
def test_a_killed_run_goes_on_with_the_same_bytes(world, config, calls, done, tmp_path, capsys):
    command.run(config)
    again = replace(config, out=str(tmp_path / "again.jsonl"))
    arguments = [str(Path(__file__).parent), again.data, again.out, str(calls)]
    assert Forked(KILLED, *arguments).wait() == -signal.SIGKILL
    assert not Path(again.out).exists()
    capsys.readouterr()
    world[0].asked = []
    command.run(again)
    assert Path(again.out).read_bytes() == Path(config.out).read_bytes()
    assert len({prefix.split(" ")[1] for prefix, _ in world[0].asked}) == 10 - done
    assert f"\n{10 - done} prompt" in capsys.readouterr().out
    with pytest.raises(OutputExistsError, match="finished"):
        command.run(again)


# What is said, and what is refused


@pytest.mark.usefixtures("world")
def test_the_summary_says_the_accuracy_of_each_choice(config, capsys):
    command.run(replace(config, n=16, width=4))
    rows = written(config)
    right = sum(row["best_answer"] == row["answer"] for row in rows)
    assert right == sum(row["best_correct"] for row in rows)
    assert all(row["corrects"] == [answer == row["answer"] for answer in row["answers"]] for row in rows)
    said = capsys.readouterr().out
    assert f"accuracy by highest score: {right / 10:.1%} [" in said
    assert f"{right} of 10 (the method's choice)" in said
    assert "accuracy by weighted vote" in said
    assert "accuracy by majority vote" in said
    reachable = sum(any(row["corrects"]) for row in rows)
    assert f"a right answer is among the solutions of {reachable} of 10 prompts" in said


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"max_steps": 2}, "80 by max_steps"),
        ({"max_steps": 2}, "where the choice is among cut ones: 10 of 10"),
        ({"max_step_tokens": 1}, "40 by length"),
        ({"separator": "never"}, "the separator 'never' divides no solution"),
    ],
)
def test_cut_solutions_and_a_separator_that_never_comes_are_told(config, change, told, capsys):
    command.run(replace(config, n=8 if "max_steps" in change else 4, **change))
    assert told in capsys.readouterr().out


def test_no_solution_goes_past_its_tokens_and_what_was_written_past_them_is_paid_for():
    """Three tokens hold one step of two, and no second: the second step is sampled, and left out."""
    search = searched("p: ", shape_of("beam", 4, 2), tokens=3)
    assert all(one.ending == OVER_LENGTH and one.tokens == 2 for one in search.ended())
    assert len(search.ended()) == 4
    assert search.budget.tokens_sampled == 4 * 2 + 4 * 2
    search = searched("p: ", shape_of("beam", 4, 2), tokens=2)  # full after the first step
    assert [one.ending for one in search.ended()] == [OVER_LENGTH] * 4
    assert search.budget.policy_calls == 1


def test_a_beginning_too_long_for_the_model_is_cut_and_the_others_go_on():
    policy = Digits(context=len("long prompt: 0\n"))
    policy.check(["long prompt: "], ["prompt"])
    kept = Limits(40, 100, 50, "\n")
    searcher = Searcher(policy, Truth(), shape_of("dvts", 4, 2), kept, SamplingConfig(seed=7))
    long, short = searcher.search([problem("long prompt: "), problem("p: ")])
    assert {(one.ending, one.text.count("\n")) for one in long.ended()} == {(OVER_LENGTH, 2)}
    assert {one.ending for one in short.ended()} == {FINISHED}
    assert texts(short) == texts(searched("p: ", shape_of("dvts", 4, 2)))


def test_steps_and_solutions_of_nothing_are_counted():
    class Silent(Digits):
        def _write(self, prompt: Prompt, *_: object) -> Generation:
            reason = "stop" if prompt_key(prompt).endswith(": ") else "eos"
            return Generation(prompt, "", extra={"finish_reason": reason, "token_count": 1})

    search = searched("p: ", shape_of("beam", 4, 2), Silent())
    assert search.budget.empty_steps == 4
    assert texts(search) == ["\n"] * 4
    assert searched("p", shape_of("beam", 4, 2), Silent()).budget.empty_solutions == 4


def test_the_sums_of_a_budget_refuse_what_is_no_count():
    with pytest.raises(TypeError, match="tokens_sampled"):
        Budget().add({**Budget().as_dict(), "tokens_sampled": None})


@pytest.mark.usefixtures("world")
def test_negative_scores_and_ungraded_rows_are_told(config, write_rows, monkeypatch, capsys):
    monkeypatch.setattr(command, "load_scorer", lambda _: Length(weight=-1.0))
    data = write_rows("some.jsonl", [{"prompt": "a ", "answer": 1}, {"prompt": "b "}])
    command.run(replace(config, data=data, out=config.out + ".parquet"))
    said = capsys.readouterr().out
    assert "count against their answers in the weighted vote: 2 of 2" in said
    assert "not graded, without a column 'answer': 1 prompt" in said


@pytest.mark.usefixtures("world")
def test_messages_are_refused_where_an_answer_would_have_to_be_continued(config, write_rows):
    message = [{"role": "user", "content": "hi"}]
    data = write_rows("messages.jsonl", [{"prompt": "text"}, {"prompt": message}])
    for method in ("beam", "dvts"):
        with pytest.raises(DataError, match=r"messages\.jsonl:2: field 'prompt': is messages"):
            command.run(replace(config, data=data, method=method))
    command.run(replace(config, data=data, method="best-of-n"))
    assert written(config)[1]["prompt"] == message
    assert "corrects" not in written(config)[1]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "p", "responses": ["x"]}, "field 'responses' is a column that the output writes"),
        ({"prompt": "p", "response": "x"}, "--rename"),
        ({"prompt": "p", "answer": "many words"}, "ungraded"),
        ({"prompt": "p", "answer": None}, "expected a text or a number"),
        ({"question": "p"}, "no column 'prompt'"),
        ({"prompt": "p", "id": [1]}, "field 'id'"),
    ],
)
def test_a_bad_row_is_refused_by_its_place_before_anything_is_sampled(config, write_rows, row, told):
    data = write_rows("bad.jsonl", [{"prompt": "good"}, row])
    with pytest.raises(DataError, match=r"bad\.jsonl:2: .*" + told):
        command.run(replace(config, data=data))
    assert not Path(config.out).exists()
    assert not Path(config.out + ".partial").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n": 6, "width": 4}, "multiple of width"),
        ({"max_steps": 0}, "max_steps"),
        ({"separator": ""}, "separator"),
    ],
)
def test_a_setting_out_of_range_is_refused(config, change, told):
    with pytest.raises(ConfigError, match=told):
        replace(config, **change)


# With a model


def searching(policy: str, data: str, out: Path, *more: str, scorer: str = "rule:length") -> int:
    try:
        main(["search", "--policy", policy, "--scorer", scorer, "--data", data, "--out", str(out), *more])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize("method", METHODS)
def test_a_model_is_searched_from_the_command_line(method, policy_folder, write_rows, tmp_path, capsys):
    rows = [{"prompt": f"{i} and {i} is ", "answer": 2 * i, "id": str(i)} for i in range(3)]
    data, out = write_rows("sums.jsonl", rows), tmp_path / "found.jsonl"
    options = ["--method", method, "--n", "4", "--width", "2", "--separator", "a", "--max_new_tokens", "60"]
    assert searching(policy_folder, data, out, *options) == 0
    said = capsys.readouterr().out
    assert f"{method}: 3 prompts" in said
    assert "by length" in said  # the context ends before
    assert "accuracy by weighted vote" in said
    for line in out.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert row["scores"] == [float(len(text)) for text in row["responses"]]
        assert row["budget"]["tokens_sampled"] >= max(row["token_counts"]) > 0
    if method == "beam":
        main(["accuracy", "--data", str(out), "--out", str(tmp_path / "accuracy"), "--bootstrap", "20"])
        assert json.loads((tmp_path / "accuracy" / "accuracy.json").read_text())["prompts"] == 3
    chosen = tmp_path / "chosen.jsonl"
    main(["select", "--data", str(out), "--out", str(chosen), "--k", "1"])
    best = [json.loads(line)["score"] for line in chosen.read_text(encoding="utf-8").splitlines()]
    assert best == [max(json.loads(line)["scores"]) for line in out.read_text().splitlines()]


def test_a_scorer_without_a_score_names_the_place_of_the_prompt(policy_folder, write_rows, tmp_path, capsys):
    data = write_rows("sums.jsonl", [{"prompt": "1 and 1 is ", "id": "x"}])
    assert searching(policy_folder, data, tmp_path / "found.jsonl", scorer="rule:exact?column=key") == 2
    said = capsys.readouterr().err
    assert "sums.jsonl:1" in said
    assert "Traceback" not in said


def test_a_policy_that_ends_every_sample_at_once_may_have_stop_texts(policy_folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from evalkit.policies.generation.local import LocalPolicy

    model = AutoModelForCausalLM.from_pretrained(policy_folder)
    model.generation_config.eos_token_id = list(range(model.config.vocab_size))
    policy = LocalPolicy(model, AutoTokenizer.from_pretrained(policy_folder))
    search = searched("p: ", shape_of("beam", 4, 2), policy, Truth())
    assert [(one.text, one.ending, one.tokens) for one in search.ended()] == [("", FINISHED, 1)] * 4


class Ending:
    """Writes nothing for every other sample, and a digit as a whole solution for the rest."""

    def __init__(self, every: int = 2) -> None:
        self.every = every

    def generate(self, prompts, n, *_):
        def one(prompt, number):
            text = "" if number % self.every == 0 else str(number)
            return Generation(prompt, text, extra={"finish_reason": "eos", "token_count": 1 + len(text)})

        return [[one(prompt, number) for number in range(n)] for prompt in prompts]


class Steps:
    """Scores steps, as a process reward model: it has nothing to say of an empty response."""

    def score(self, generations):
        if not all(one.response and one.steps for one in generations):
            raise ScoringError("an empty response has no steps")
        return [Score(-float(one.response), (0.5,) * len(one.steps)) for one in generations]


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_solution_comes_behind_all_that_have_a_score(
    config, write_rows, monkeypatch, capsys, method
):
    monkeypatch.setattr(command, "load_policy", lambda _: Ending())
    monkeypatch.setattr(command, "load_scorer", lambda _: Steps())
    data = write_rows("some.jsonl", [{"prompt": "a ", "answer": 1}])
    command.run(replace(config, data=data, method=method, n=4, width=4))
    row = json.loads(Path(config.out).read_text())
    assert row["responses"] == ["", "1", "", "3"]
    assert row["scores"] == [None, -1.0, None, -3.0]
    assert row["scores_steps"] == [[], [0.5], [], [0.5]]
    assert (row["best_response"], row["best_score"], row["best_correct"]) == ("1", -1.0, True)
    assert row["budget"]["solutions_scored"] == 2
    said = capsys.readouterr().out
    assert "empty solutions, which the policy ended at once: 2" in said
    assert "without a score, as they have no step, and so behind all others: 2" in said


@pytest.mark.parametrize("method", METHODS)
def test_a_scorer_that_grades_empty_solutions_is_asked(config, write_rows, monkeypatch, capsys, method):
    monkeypatch.setattr(command, "load_policy", lambda _: Ending())
    monkeypatch.setattr(command, "load_scorer", lambda _: Length())
    data = write_rows("some.jsonl", [{"prompt": "a "}])
    command.run(replace(config, data=data, method=method, n=4, width=4))
    row = json.loads(Path(config.out).read_text())
    assert row["scores"] == [0.0, 1.0, 0.0, 1.0]
    assert row["budget"]["solutions_scored"] == 3
    assert "without a score" not in capsys.readouterr().out


def test_where_every_solution_is_empty_there_is_no_score_and_no_vote(config, write_rows, monkeypatch):
    monkeypatch.setattr(command, "load_policy", lambda _: Ending(1))
    monkeypatch.setattr(command, "load_scorer", lambda _: Steps())
    data = write_rows("some.jsonl", [{"prompt": "a ", "answer": 1}])
    command.run(replace(config, data=data, method="beam", n=4, width=2))
    row = json.loads(Path(config.out).read_text())
    assert (row["best_response"], row["best_score"], row["voted_answer"]) == ("", None, None)
    assert (row["best_correct"], row["voted_correct"]) == (False, False)


def test_a_cut_solution_is_chosen_before_an_empty_one():
    assert choose([None, 0.5], [None, "3"], [FINISHED, OVER_LENGTH]).best == 1
