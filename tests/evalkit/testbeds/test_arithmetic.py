import itertools
import json
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalkit.testbeds import arithmetic_models, load_testbed_scorer
from evalkit.testbeds.arithmetic import (
    DIGITS,
    OPERATIONS,
    ArithmeticWorld,
    Cell,
    Noise,
    Problem,
    answer,
    apply,
)
from evalkit.testbeds.arithmetic_corpus import (
    draw_problems,
    draw_prompts,
    graded_row,
    label_steps,
    write_corpus,
    write_solution,
)
from evalkit.testbeds.arithmetic_gold import ArithmeticScorer, grade, measure
from evalkit.testbeds.arithmetic_models import (
    ArithmeticExamination,
    PolicySize,
    make_policy,
    make_tokenizer,
    train_policy,
)
from evalkit.testbeds.arithmetic_theory import (
    answer_distribution,
    foretell,
    pass_at_n,
    propagate,
    vote_share,
)
from evalkit.testbeds.world_models import WORLD_FILE, Schooling, check_world, save_in_world
from rewards.errors import ConfigError, DataError, ModelError, ScoringError, SpecError
from rewards.files import generations, read_rows, step_labels, to_row, write_rows
from rewards.records import Generation, Message, StepLabels
from rewards.scorer import load_scorer
from rewards.specs import parse_spec

WORLD = ArithmeticWorld()
PROMPT = "Q 7 +3 *2 +8 -4 ?\n"  # 7 -> 0 -> 0 -> 8 -> 4
RIGHT = "7 +3 0\n0 *2 0\n0 +8 8\n8 -4 4\nA 4"
MANY = settings(max_examples=200, deadline=None)


# The world


def test_the_world_is_frozen_and_its_hash_pinned():
    assert ArithmeticWorld().hash == "6be1ded3f35f"
    changed = [
        ArithmeticWorld(seed=1),
        ArithmeticWorld(lengths=(4, 5)),
        ArithmeticWorld(noise=Noise(hard=0.5)),
        ArithmeticWorld(noise=Noise(first_slip=0.8)),
    ]
    assert len({world.hash for world in [WORLD, *changed]}) == 5
    assert hash(ArithmeticWorld()) == hash(WORLD)
    with pytest.raises(FrozenInstanceError):
        WORLD.seed = 1
    with pytest.raises(ValueError, match="read-only"):
        WORLD.table[0, 0, 0] = 1


@pytest.mark.parametrize("seed", range(5))
def test_the_table_has_easy_results_and_hard_ones_with_two_slips(seed):
    world = ArithmeticWorld(seed=seed)
    assert np.allclose(world.table.sum(axis=2), 1, atol=1e-12)
    hard = 0
    for value, operation in itertools.product(range(10), OPERATIONS):
        row = world.table[value, OPERATIONS.index(operation)]
        right = row[apply(value, operation)]
        if right == 1:
            assert np.count_nonzero(row) == 1
            continue
        hard += 1
        assert 0.3 <= right <= 0.75
        wrong = sorted((row[c], (c - apply(value, operation)) % 10) for c in range(10) if row[c] < 1)[-3:]
        slips = [(share, offset) for share, offset in wrong if offset]
        assert np.count_nonzero(row) == 3
        assert [share for share, _ in slips] == pytest.approx([0.15 * (1 - right), 0.85 * (1 - right)])
        assert {offset for _, offset in slips} <= {1, 9, 5, 2, 8}
    assert hard == 24


def test_operations_and_answers_are_modulo_ten():
    results = [apply(7, operation) for operation in ("+3", "+8", "-4", "*3", "*2", "*4")]
    assert results == [0, 5, 3, 1, 4, 8]
    assert apply(2, "-4") == 8
    assert answer(Problem(7, ("+3", "*2", "+8", "-4"))) == 4


def test_a_cell_draws_its_outcomes_in_order():
    cell = Cell(((3, 0.5), (4, 0.25), (8, 0.25)))
    drawn = [cell.draw(uniform) for uniform in (0.0, 0.49, 0.5, 0.74, 0.75, 1 - 2**-53)]
    assert drawn == [3, 3, 4, 4, 8, 8]
    assert Cell(((3, 1.0),)).draw(1 - 2**-53) == 3


@pytest.mark.parametrize(
    "noise",
    [
        {"hard": 1.1},
        {"first_slip": -0.1},
        {"least_right": 0.8},
        {"most_right": 1.2},
        {"offsets": (1,)},
        {"offsets": (1, 0)},
        {"offsets": (1, -9)},
    ],
)
def test_impossible_noise_is_refused(noise):
    with pytest.raises(ConfigError):
        Noise(**noise)


@pytest.mark.parametrize("lengths", [(), (0, 4), (4, 4)])
def test_impossible_lengths_are_refused(lengths):
    with pytest.raises(ConfigError, match="lengths"):
        ArithmeticWorld(lengths=lengths)


def test_prompts_are_read_back():
    for problem in draw_problems(WORLD, 300, np.random.default_rng(0)):
        assert WORLD.problem(WORLD.prompt(problem)) == problem
    assert WORLD.prompt(Problem(7, ("+3", "*2", "+8", "-4"))) == PROMPT


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "What is 2 + 2?",
        "Q 7 +3 *2 +8 -4\n",
        "Q 7 +3 *2 +8 ?\n",
        "Q 12 +3 *2 +8 -4 ?\n",
        "Q 7 +3 *2 +8 /2 ?\n",
        "Q \N{FULLWIDTH DIGIT SEVEN} +3 *2 +8 -4 ?\n",
        "Q ?",
    ],
)
def test_a_prompt_outside_the_world_has_no_score_and_the_row_is_named(prompt):
    with pytest.raises(DataError):
        WORLD.problem(prompt)
    good = Generation(PROMPT, RIGHT)
    with pytest.raises(ScoringError, match="id 'b'"):
        ArithmeticScorer(WORLD).score([good, Generation(prompt, RIGHT, id="b")])
    with pytest.raises(ScoringError, match="row 2"):
        ArithmeticScorer(WORLD).score([good, Generation(prompt, RIGHT)])


def test_messages_have_no_score():
    with pytest.raises(ScoringError, match="messages"):
        ArithmeticScorer(WORLD).score([Generation((Message("user", PROMPT),), RIGHT)])


# Gold


@pytest.mark.parametrize(
    ("response", "locally_right", "answer_right", "well_formed"),
    [
        pytest.param(RIGHT, "11111", True, True, id="right"),
        pytest.param(RIGHT + "\n", "11111", True, True, id="right with a break at the end"),
        pytest.param("7 +3 1\n1 *2 2\n2 +8 0\n0 -4 6\nA 6", "01111", False, True, id="wrong result"),
        pytest.param("7 +3 0\n1 *2 2\n2 +8 0\n0 -4 6\nA 6", "10111", False, True, id="wrong value carried"),
        pytest.param("7 +3 0\n1 *2 0\n0 +8 8\n8 -4 4\nA 4", "10111", True, True, id="carried, not minded"),
        pytest.param(
            "7 +3 5\n5 *2 0\n0 +8 8\n8 -4 4\nA 4", "01111", True, True, id="an error that *2 undoes"
        ),
        pytest.param("7 +3 1\n1 *2 0\n0 +8 8\n8 -4 4\nA 4", "00111", True, True, id="two errors that cancel"),
        pytest.param("7 +3 0\n0 +8 8\n8 -4 4\nA 4", "1000", True, False, id="an operation skipped"),
        pytest.param("7 +3 0\n0 *3 0\n0 +8 8\n8 -4 4\nA 4", "10111", True, False, id="another operation"),
        pytest.param("7 +3 0\n0 *2 0\n0 +8 8\n8 -4 4\nA 5", "11110", False, True, id="wrong answer alone"),
        pytest.param("7 +3 0\n0 *2 0\n0 +8 8\n8 -4 4", "1111", False, False, id="no answer"),
        pytest.param("7 +3 0\n0 *2 0\n0 +8 8\n", "111", False, False, id="unfinished"),
        pytest.param(RIGHT + "\nA 4", "111110", True, False, id="an answer twice"),
        pytest.param(RIGHT + "\n4 +3 7", "111110", False, False, id="a line after the answer"),
        pytest.param(
            "7 +3 0\n0 *2 0\n0 +8 8\n8 -4 4\n4 +3 7\nA 7", "111100", False, False, id="a line too many"
        ),
        pytest.param("7 +3 0\n\n0 *2 0\n0 +8 8\n8 -4 4\nA 4", "100000", True, False, id="an empty line"),
        pytest.param("A 4", "0", True, False, id="an answer alone"),
        pytest.param("7 +3 0 0\n0 *2 0\n0 +8 8\n8 -4 4\nA 4", "00111", True, False, id="a word too many"),
        pytest.param("7 +3 10\n0 *2 0\n0 +8 8\n8 -4 4\nA 4", "00111", True, False, id="no digit"),
        pytest.param("7 +3 0\r\n0 *2 0\n0 +8 8\n8 -4 4\nA 4", "00111", True, False, id="a foreign break"),
        pytest.param("", "", False, False, id="nothing"),
        pytest.param(" \n", "0", False, False, id="white space"),
        pytest.param("four \N{SNOWMAN}", "0", False, False, id="garbage"),
        pytest.param("A \N{FULLWIDTH DIGIT FOUR}", "0", False, False, id="a foreign digit"),
    ],
)
def test_solutions_are_judged_line_by_line(response, locally_right, answer_right, well_formed):
    graded = grade(WORLD, PROMPT, response)
    assert "".join(str(int(right)) for right in graded.locally_right) == locally_right
    assert (graded.answer_right, graded.well_formed) == (answer_right, well_formed)
    assert "".join(graded.steps) == response
    assert graded.all_right == (answer_right and "0" not in locally_right)
    assert graded.false_positive == (answer_right and "0" in locally_right)


def test_labels_stop_at_the_first_error():
    assert grade(WORLD, PROMPT, RIGHT).labels == (1, 1, 1, 1, 1)
    graded = grade(WORLD, PROMPT, "7 +3 0\n0 *2 1\n1 +8 9\n9 -4 6\nA 6")
    assert graded.locally_right == (True, False, True, False, True)
    assert graded.labels == (1, 0, None, None, None)
    assert graded.cumulative == (1, 0, 0, 0, 0)
    assert graded.first_error == 1
    assert graded.answer == 6
    assert grade(WORLD, PROMPT, "").labels == ()


def test_the_scorer_gives_value_steps_and_aspects():
    cancelled = "7 +3 0\n0 *2 5\n5 +8 3\n3 -4 4\nA 4"
    right, lucky, empty = ArithmeticScorer(WORLD).score(
        [Generation(PROMPT, RIGHT), Generation(PROMPT, cancelled), Generation(PROMPT, "")]
    )
    assert (right.value, right.steps) == (1, (1, 1, 1, 1, 1))
    assert right.aspects == {"answer": 1, "steps": 1, "false_positive": 0}
    assert (lucky.value, lucky.steps) == (1, (1, 0, 0, 0, 0))
    assert lucky.aspects == {"answer": 1, "steps": 0.2, "false_positive": 1}
    assert (empty.value, empty.steps) == (0, ())
    assert empty.aspects == {"answer": 0, "steps": 0, "false_positive": 0}


def test_given_steps_are_scored_as_they_are_cut():
    two_at_once = ("7 +3 0\n", "0 *2 0\n0 +8 8\n", "8 -4 4\n", "A 4")
    (score,) = ArithmeticScorer(WORLD).score([Generation(PROMPT, RIGHT, two_at_once)])
    assert (score.value, score.steps) == (1, (1, 0, 0, 0))
    unfinished = ("7 +3 0\n", "0 *2 0\n")
    (score,) = ArithmeticScorer(WORLD).score([Generation(PROMPT, "".join(unfinished), unfinished)])
    assert (score.value, score.steps) == (0, (1, 1))


@MANY
@given(st.lists(st.sampled_from([*DIGITS, *OPERATIONS, *"AQ \n\u2028é\x00"]), max_size=60).map("".join))
def test_no_text_is_an_error(response):
    graded = grade(WORLD, PROMPT, response)
    assert "".join(graded.steps) == response
    assert len(graded.labels) == len(graded.locally_right) == len(graded.steps)
    (score,) = ArithmeticScorer(WORLD).score([Generation(PROMPT, response)])
    assert score.value in (0, 1)


def test_the_scorer_is_named_by_a_spec():
    generation = Generation(PROMPT, RIGHT)
    for spec in ("testbed:arithmetic", "testbed:arithmetic?seed=3"):
        assert load_scorer(spec).score([generation])[0].value == 1
    assert load_scorer("testbed:arithmetic?seed=3").world == ArithmeticWorld(seed=3)


@pytest.mark.parametrize("text", ["testbed:algebra", "testbed:arithmetic?seed=1.5", "testbed:arithmetic?x=1"])
def test_a_wrong_spec_is_refused(text):
    with pytest.raises(SpecError):
        load_testbed_scorer(parse_spec(text, ["testbed"]))


# The corpus and its labels


def test_prompts_drawn_are_different_and_not_taken():
    small = ArithmeticWorld(lengths=(1,))
    assert small.problems == 60
    assert WORLD.problems == 557_280
    first = draw_prompts(small, 20, np.random.default_rng(0))
    second = draw_prompts(small, 40, np.random.default_rng(1), set(first))
    assert len({*first, *second}) == 60
    with pytest.raises(ConfigError, match="60 problems, of which 20 are taken; 41 were asked"):
        draw_prompts(small, 41, np.random.default_rng(1), set(first))
    corpus = write_corpus(small, 200, np.random.default_rng(2), set(first))
    assert len(corpus) == 200
    assert {prompt for prompt, _ in corpus} == set(second)


def test_the_author_writes_well_formed_solutions_by_the_table():
    counts = np.zeros((10, 6, 10))
    for prompt, solution in write_corpus(WORLD, 20_000, np.random.default_rng(0)):
        graded = grade(WORLD, prompt, solution)
        assert graded.well_formed
        assert graded.locally_right[-1]
        for line in solution.split("\n")[:-1]:
            value, operation, result = line.split()
            counts[int(value), OPERATIONS.index(operation), int(result)] += 1
    totals = counts.sum(axis=2, keepdims=True)
    table = WORLD.table
    assert totals.min() > 300
    errors = np.sqrt(table * (1 - table) / totals)
    assert (np.abs(counts / totals - table) <= 4.5 * errors).all()


def test_labels_and_graded_rows_are_files_that_others_read(tmp_path):
    wrong = "7 +3 0\n0 *2 1\n1 +8 9\n9 -4 5\nA 5"
    labels = list(label_steps(WORLD, [(PROMPT, [RIGHT, wrong])]))
    steps = ("7 +3 0\n", "0 *2 1\n", "1 +8 9\n", "9 -4 5\n", "A 5")
    assert labels[1] == StepLabels(PROMPT, steps, (1, 0, None, None, None), "0-1", {"correct": False})
    write_rows(tmp_path / "labels.jsonl", map(to_row, labels))
    assert [step_labels(row) for row in read_rows(tmp_path / "labels.jsonl")] == labels
    row = graded_row(WORLD, PROMPT, [RIGHT, wrong, "A"])
    assert (row["correct"], row["answers"]) == ([True, False, False], ["4", "5", None])
    assert row["answer"] == "4"
    write_rows(tmp_path / "graded.jsonl", [row])
    read = [made for row in read_rows(tmp_path / "graded.jsonl") for made in generations(row)]
    assert [made.response for made in read] == [RIGHT, wrong, "A"]
    assert [made.extra["correct"] for made in read] == [True, False, False]


# Theory


def test_theory_of_one_operation_is_the_table_itself():
    world = ArithmeticWorld(lengths=(1,))
    for value, operation in itertools.product(range(10), OPERATIONS):
        problem = Problem(value, (operation,))
        row = world.table[value, OPERATIONS.index(operation)]
        right = row[apply(value, operation)]
        assert answer_distribution(world, problem) == pytest.approx(row)
        achieved = foretell(world, [problem])
        assert (achieved.pass_at_1, achieved.steps_right, achieved.all_right) == pytest.approx((right,) * 3)
        assert achieved.false_positives == pytest.approx(0, abs=1e-12)
        assert achieved.majority == (right > 0.46)  # 0.85 (1 - p) = p at p = 0.4595


def test_theory_agrees_with_every_path_of_small_problems():
    world = ArithmeticWorld(seed=2, lengths=(3,), noise=Noise(hard=0.9))
    problems = draw_problems(world, 20, np.random.default_rng(0))
    all_right, right, lines = 0.0, 0.0, 0.0
    for problem in problems:
        truth = answer(problem)
        distribution = np.zeros((2, 10))
        for path in itertools.product(range(10), repeat=3):
            values = (problem.start, *path)
            chance, correct = 1.0, []
            for before, operation, after in zip(values[:-1], problem.operations, path, strict=True):
                chance *= world.table[before, OPERATIONS.index(operation), after]
                correct.append(after == apply(before, operation))
            distribution[int(not all(correct)), path[-1]] += chance
            lines += chance * np.mean(correct)
        assert propagate(world, problem) == pytest.approx(distribution, abs=1e-12)
        all_right += distribution[0, truth]
        right += distribution[:, truth].sum()
    achieved = foretell(world, problems)
    assert achieved.pass_at_1 == pytest.approx(right / 20)
    assert achieved.all_right == pytest.approx(all_right / 20)
    assert achieved.steps_right == pytest.approx(lines / 20)
    assert achieved.false_positives == pytest.approx(1 - all_right / right)


def test_the_author_achieves_what_theory_foretells():
    rng = np.random.default_rng(0)
    problems = draw_problems(WORLD, 200, rng)
    samples = [
        (WORLD.prompt(problem), [write_solution(WORLD, problem, rng) for _ in range(100)])
        for problem in problems
    ]
    foretold, (measured, malformed) = foretell(WORLD, problems), measure(WORLD, samples)
    assert malformed == 0
    error = math.sqrt(0.25 / 20_000)  # at most, as the problems are the same
    assert measured.pass_at_1 == pytest.approx(foretold.pass_at_1, abs=4 * error)
    assert measured.all_right == pytest.approx(foretold.all_right, abs=4 * error)
    assert measured.steps_right == pytest.approx(foretold.steps_right, abs=4 * error)
    assert measured.false_positives == pytest.approx(foretold.false_positives, abs=0.02)
    assert measured.majority == pytest.approx(foretold.majority, abs=0.08)


def test_pass_at_n_and_votes_worked_by_hand():
    world = ArithmeticWorld(lengths=(1,))
    pairs = itertools.product(range(10), OPERATIONS)
    problem = next(Problem(*(v, (o,))) for v, o in pairs if len(world.cell(v, o).outcomes) > 1)
    p = world.cell(problem.start, problem.operations[0]).outcomes[0][1]
    expected = [p, 1 - (1 - p) ** 2, 1 - (1 - p) ** 8]
    assert pass_at_n(world, [problem], [1, 2, 8]) == pytest.approx(expected)
    assert vote_share(np.array([0.2, 0.4, 0.4]), 1) == 0.5
    assert vote_share(np.array([0.2, 0.4, 0.4]), 0) == 0
    assert vote_share(np.array([0.5, 0.3, 0.2]), 0) == 1


def test_nothing_is_said_of_nothing():
    with pytest.raises(ValueError, match="no problems"):
        foretell(WORLD, [])
    with pytest.raises(ValueError, match="no solutions"):
        measure(WORLD, [])
    measured, malformed = measure(WORLD, [(PROMPT, ["", "A"])])
    assert (measured.pass_at_1, measured.majority, malformed) == (0, 0, 1)
    assert math.isnan(measured.false_positives)


# Models


TOKENIZER = make_tokenizer()
BREAK = TOKENIZER.convert_tokens_to_ids("\n")


def tokens(text):
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


def test_a_line_break_is_one_token_wherever_it_stands():
    assert tokens("\n") == [BREAK]
    assert tokens("\n\n") == [BREAK, BREAK]
    assert tokens("7\n7") == [tokens("7")[0], BREAK, tokens("7")[0]]
    assert tokens(" \n ") == [BREAK]
    assert TOKENIZER.unk_token_id != BREAK
    assert TOKENIZER(PROMPT)["input_ids"][0] == TOKENIZER.bos_token_id


def test_prompt_and_solution_have_the_same_tokens_together_and_come_back():
    for prompt, solution in write_corpus(WORLD, 50, np.random.default_rng(0)):
        together = tokens(prompt + solution)
        assert together == tokens(prompt) + tokens(solution)
        assert TOKENIZER.unk_token_id not in together
        assert TOKENIZER.decode(together) == prompt + solution
        steps = grade(WORLD, prompt, solution).steps
        assert together == tokens(prompt) + [token for step in steps for token in tokens(step)]


@MANY
@given(st.lists(st.integers(4, len(TOKENIZER) - 1), max_size=30))
def test_whatever_is_decoded_has_the_same_tokens_again(row):
    assert tokens(TOKENIZER.decode(row)) == row


def test_offsets_cut_out_each_token():
    text = PROMPT + RIGHT
    encoded = TOKENIZER(text, return_offsets_mapping=True)
    words = [
        text[start:end]
        for token, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        if token != TOKENIZER.bos_token_id
    ]
    assert words == TOKENIZER.convert_ids_to_tokens(encoded["input_ids"])[1:]
    breaks = [place for place, character in enumerate(text) if character == "\n"]
    pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    assert [start for token, (start, _) in pairs if token == BREAK] == breaks


SMALL = PolicySize(hidden=16, layers=1, head=16)


def test_a_policy_is_trained_and_saved_as_an_ordinary_folder(tmp_path):
    seen = []
    schooling = Schooling(gate=0.99, every=5, most=10, cool_down=5, batch=8, documents=64)
    model, report = train_policy(WORLD, 1, schooling, lambda *numbers: seen.append(numbers), SMALL)
    assert [updates for updates, _, _ in seen] == [5, 10]
    assert (report.updates, report.passed) == (10, False)
    assert 0 < report.distance <= report.worst <= 1
    again, same = train_policy(WORLD, 1, schooling, lambda *_: None, SMALL)
    assert same == report
    assert all((a == b).all() for a, b in zip(model.parameters(), again.parameters(), strict=True))
    folder = tmp_path / "policy"
    save_in_world(WORLD, folder, model, TOKENIZER, {"kind": "policy"})
    about = json.loads((folder / WORLD_FILE).read_text(encoding="utf-8"))
    assert about == {"world": WORLD.hash, "seed": 0, "kind": "policy"}
    check_world(WORLD, folder)
    with pytest.raises(ModelError, match=f"made in world {WORLD.hash}"):
        check_world(ArithmeticWorld(seed=1), folder)
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert loaded.config.vocab_size == len(tokenizer)
    assert tokenizer(PROMPT + RIGHT)["input_ids"] == TOKENIZER(PROMPT + RIGHT)["input_ids"]
    assert tokenizer.decode(tokens(PROMPT + RIGHT)) == PROMPT + RIGHT


def test_schooling_ends_a_cool_down_after_the_gate():
    schooling = Schooling(gate=-100, every=5, most=100, cool_down=5, batch=8, documents=64)
    _, report = train_policy(WORLD, 1, schooling, lambda *_: None, SMALL)
    assert (report.updates, report.passed) == (10, True)


class Oracle:
    """Foretells what the author writes, by reading the text so far."""

    def __init__(self, world, sure=1.0):
        self.world = world
        self.sure = sure

    def __call__(self, input_ids):
        import torch

        chances = torch.full((*input_ids.shape, len(TOKENIZER)), 1e-12, dtype=torch.float64)
        for row, tokens_of_row in enumerate(input_ids.tolist()):
            words = TOKENIZER.convert_ids_to_tokens(tokens_of_row)
            for place in range(len(words) - 1):
                following = tokens_of_row[place + 1]
                chances[row, place, following] = self.sure
                if words[place] in OPERATIONS and words[place - 1] in DIGITS and words[place + 1] in DIGITS:
                    value = int(words[place - 1])
                    chances[row, place, following] = 1e-12
                    for digit, share in enumerate(self.world.table[value, OPERATIONS.index(words[place])]):
                        chances[row, place, tokens(str(digit))[0]] = max(share, 1e-12)
                elif self.sure < 1:
                    chances[row, place, 0] = 1 - self.sure
        return type("Output", (), {"logits": chances.log()})


def test_an_examination_finds_the_author_perfect_and_counts_what_is_off():
    corpus = write_corpus(WORLD, 60, np.random.default_rng(3))
    examination = ArithmeticExamination(WORLD, corpus, TOKENIZER)
    distances, slips = examination.take(Oracle(WORLD))
    assert distances.max() < 1e-9
    assert slips == pytest.approx(0, abs=1e-9)
    # A solution of T lines has 3 T + 3 tokens that the author never varies.
    forced = np.mean([3 * text.count("\n") + 3 for _, text in corpus])
    distances, slips = examination.take(Oracle(WORLD, sure=0.9))
    assert distances.max() < 1e-9
    assert slips == pytest.approx(0.1 * forced)
    other = ArithmeticWorld(seed=1)
    distances, slips = examination.take(Oracle(other))
    met = {tuple(line.split()[:2]) for _, text in corpus for line in text.split("\n")[:-1]}
    gaps = np.abs(WORLD.table - other.table).sum(axis=2) / 2
    expected = [gaps[int(value), OPERATIONS.index(operation)] for value, operation in sorted(met)]
    assert sorted(distances) == pytest.approx(sorted(expected), abs=1e-9)


def test_a_full_size_policy_is_small_and_its_room_is_enough():
    model = make_policy(0, TOKENIZER)
    assert 300_000 < sum(weights.numel() for weights in model.parameters()) < 500_000
    longest = Problem(7, ("+3",) * max(WORLD.lengths))
    solution = write_solution(WORLD, longest, np.random.default_rng(0))
    assert len(tokens(solution)) + 1 == 27 < arithmetic_models.ROOM


def test_top_p_keeps_all_that_the_author_writes():
    second_slips = [row[row > 0].min() for row in WORLD.table.reshape(-1, 10) if row.max() < 1]
    assert min(second_slips) > 1 - arithmetic_models.TOP_P
