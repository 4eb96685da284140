"""Final answers: where they stand, which numbers they state, and how they are held against a reference."""

import json
import sys
import threading
import warnings
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cli import main
from rewards.errors import ConfigError, DataError, MissingExtraError, ScoringError, SpecError
from rewards.records import Generation
from rewards.scorer import load_scorer
from rewards.scorers.rules import RightAnswer
from rewards.solutions.answers import (
    GRADERS,
    final_answer,
    is_right,
    marked_answer,
    read_number,
    reference_answer,
)

GSM8K = Path(__file__).parents[3] / ".." / "shared" / "data" / "gsm8k"
SOLVERS = {"6b_finetuning": 286, "6b_verification": 515, "175b_finetuning": 458, "175b_verification": 742}


@pytest.mark.skipif(not GSM8K.exists(), reason="no ../shared/data/gsm8k")
def test_the_numeric_grader_agrees_with_the_graders_of_gsm8k_on_every_solution():
    right = dict.fromkeys(SOLVERS, 0)
    disagreements = []
    lines = (GSM8K / "example_model_solutions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1319
    for row in map(json.loads, lines):
        for solver in SOLVERS:
            found = is_right(row[solver]["solution"], row["ground_truth"], "numeric")
            right[solver] += found
            if found != row[solver]["is_correct"]:
                disagreements.append(row[solver]["solution"])
    assert disagreements == []
    assert right == SOLVERS


@pytest.mark.skipif(not GSM8K.exists(), reason="no ../shared/data/gsm8k")
def test_every_reference_of_gsm8k_is_read_and_right_by_itself():
    rows = [json.loads(line) for line in (GSM8K / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    references = [row["answer"] for row in rows]
    wanted = [reference.rpartition("#### ")[2].replace(",", "") for reference in references]
    assert [reference_answer(reference, "numeric") for reference in references] == wanted
    assert all(is_right(reference, reference, "numeric") for reference in references)


@pytest.mark.parametrize(
    ("solution", "marked"),
    [
        ("3 + 4 = 7\n#### 7", "7"),
        ("#### 7 apples  \nbye", "7 apples"),
        ("so\nA: 42", "42"),
        ("so\n**Answer:** 42", "42"),
        ("Final answer: x + 1\n", "x + 1"),
        ("3 +4 7\nA 7\n", "7"),
        ("The answer is 3.50. Not 4.", "3.50"),
        ("the final answer is:\n\n42!", "42"),
        (r"The answer is \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{1} or rather \boxed{ \{ 2 \} }", r"\{ 2 \}"),
        (r"\boxed{1}, so #### 2", "2"),
        ("#### 2\nThe answer is 3", "3"),
        (r"\boxed{1} and \boxed{\frac{1}{2", None),
        ("The answer is", None),
        ("#### \n", None),
        ("A: ", None),
        ("A 7 and more", None),
        ("A: 3 was wrong\nA:", None),
        ("VITAMINA: 3, or the banswer is 3", None),
        ("", None),
    ],
)
def test_the_last_mark_says_where_the_answer_stands(solution, marked):
    assert marked_answer(solution) == marked


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        ("42.", 42),
        ("+42.50", "85/2"),
        ("-3", -3),
        ("\u22123", -3),  # a minus sign
        (".5", "1/2"),
        ("1,234,567.5", "2469135/2"),
        ("$18.00", 18),
        ("-$5", -5),
        ("$-5$", -5),
        ("18 dollars per day", 18),
        ("about 5 miles/hour", 5),
        ("a 5-year-old dog", 5),
        ("72%", 72),
        (r"72\%", 72),
        ("90°", 90),
        (r"90^\circ", 90),
        ("3/4", "3/4"),
        ("-6 / 8", "-3/4"),
        ("1 1/2", "3/2"),
        ("-1 1/2 cups", "-3/2"),
        (r"$-\dfrac{1}{2}$", "-1/2"),
        (r"1\frac12", "3/2"),
        (r"10{,}000\text{ cm}", 10000),
        (r"\$1\,000", 1000),
        ("2.5 million people", 2500000),
        ("3 dozen eggs", 36),
        ("1.5e3", 1500),
        ("3 + 4 = 7", 7),
        ("x = $-7$", -7),
        ("**18** dollars", 18),
        ("(5)", 5),
        ("007", 7),
        ("0.1", "1/10"),
        ("", None),
        ("none", None),
        ("five", None),
        ("3 or 4", None),
        ("5-10", None),
        ("(1,2)", None),
        ("1,50", None),
        ("12,34,567", None),
        ("1.2.3", None),
        ("1 000", None),
        ("5 feet 3 inches", None),
        ("3/0", None),
        ("1 3/2", None),
        ("1.5 1/2", None),
        ("1/2/2020", None),
        ("3:30", None),
        ("5x", None),
        ("5 x", None),
        (r"2\pi", None),
        ("2π", None),
        ("2**3", None),
        ("2^3", None),
        ("3 + 4", None),
        ("9+John's age", None),
        ("x > 5", None),
        ("5 and a half", None),
        ("not 5", None),
        ("5k", None),
        ("H2O", None),
        ("- 5", None),
        ("1e99999999", None),
        ("3" * 1001, None),
        ("٣", None),  # a digit of another script
    ],
)
def test_an_answer_states_one_number_or_none(text, number):
    assert read_number(text) == (None if number is None else Fraction(number))


def test_without_a_mark_the_numeric_grader_takes_the_last_number_and_the_others_nothing():
    texts = [
        "She has 3 + 4 = <<3+4=7>>7 eggs.",
        "first 5, then -8 apples!",
        "of 10-5",
        "costs $1,234.50",
        "1,50",
    ]
    assert [final_answer(text, "numeric") for text in texts] == ["7", "-8", "5", "2469/2", None]
    assert [final_answer(text, grader) for text in texts for grader in ("exact", "math-verify")] == [
        None
    ] * 10


def test_a_mark_that_marks_nothing_is_no_answer_though_there_are_numbers():
    for text in ("3 + 4 = 7\n####", r"7, so \boxed{7", "7 eggs\nA: many"):
        assert final_answer(text, "numeric") is None
        assert not is_right(text, "7", "numeric")


def test_the_exact_grader_compares_texts_white_space_aside():
    assert is_right("A: Paris \n", " Paris", "exact")
    assert is_right(r"\boxed{(B)}", "(B)", "exact")
    assert not is_right("A: 7.0", "7", "exact")
    assert not is_right("Paris", "Paris", "exact")


def test_equal_numbers_have_one_text_whatever_their_form():
    forms = ["#### 1,500", "A: $1500.00", "The answer is 1.5 thousand.", r"\boxed{\frac{3000}{2}}", "A 1500"]
    for grader in ("numeric", "math-verify"):
        assert {final_answer(form, grader) for form in forms} == {"1500"}


@given(number=st.fractions(max_denominator=10**6), units=st.sampled_from(["", " eggs", "%", " per day"]))
def test_a_fraction_comes_back_as_it_was_written(number, units):
    assert final_answer(f"so\n#### {number}{units}", "numeric") == str(number)
    assert is_right(rf"\boxed{{{number}}}", f"{number}{units}", "numeric")
    assert not is_right(f"#### {number + 1}{units}", str(number), "numeric")


@given(number=st.integers(-(10**15), 10**15), places=st.integers(0, 9))
def test_decimals_are_exact_and_thousands_separators_say_nothing(number, places):
    exact = Fraction(number, 10**places)
    sign, digits = "-" * (number < 0), f"{abs(number):0{places + 1}d}"
    whole, rest = digits[: len(digits) - places], digits[len(digits) - places :]
    assert read_number(f"{sign}{int(whole):,}" + (f".{rest}" if rest else "")) == exact


@given(text=st.text(alphabet=st.sampled_from("A#: 17.,/\\boxed{}$%-\n=*the answer is"), max_size=60))
def test_no_text_is_too_odd(text):
    for grader in ("exact", "numeric"):
        found = final_answer(text, grader)
        assert found is None or final_answer(f"#### {found}", grader) == found


def test_long_texts_take_no_time():
    for text in (
        "1" * 200_000,
        "the answer is " * 20_000,
        r"\boxed{" * 500 + "1",
        "1," * 50_000,
        "$" * 100_000,
    ):
        assert final_answer(text, "numeric") is None


def test_a_reference_that_the_grader_cannot_read_is_refused_with_what_was_expected():
    with pytest.raises(DataError, match=r"numeric grader expects one number.*got 'Paris'"):
        is_right("A: 7", "Paris", "numeric")
    with pytest.raises(DataError, match=r"exact grader expects a text that is not empty.*got ' '"):
        is_right("A: 7", " ", "exact")
    with pytest.raises(ConfigError, match="exact, numeric, math-verify; got 'close'"):
        final_answer("A: 7", "close")


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        ("1+x", "x+1", True),
        (r"\sqrt{12}", r"2\sqrt{3}", True),
        (r"\frac{\sqrt{4}}{4}", "1/2", True),
        (r"\{2, 1\}", r"\{1,2\}", True),
        ("[0, 1)", "[0,1)", True),
        ("x = 5", "5", True),
        ("50%", "0.5", True),
        ("18 dollars", "18", True),
        (r"\text{yes}", r"\text{yes}", True),
        ("(2,1)", "(1,2)", False),
        ("x+2", "x+1", False),
        ("(0, 1)", "[0,1)", False),
        (r"\frac{1}{", "1", False),
    ],
)
def test_math_verify_compares_expressions(answer, reference, right):
    assert is_right(f"#### {answer}", reference, "math-verify") == right


def test_expressions_that_are_evidently_equal_have_one_text():
    pairs = [("1+x", "x+1"), (r"\sqrt{12}", r"2\sqrt{3}"), (r"\frac{\sqrt{4}}{4}", "1/2"), ("50%", "50")]
    for one, other in pairs:
        assert final_answer(f"#### {one}", "math-verify") == final_answer(f"#### {other}", "math-verify")
    assert final_answer(r"\boxed{\sqrt{2}}", "math-verify") == "1.41421356237"
    assert final_answer("#### ", "math-verify") is None


def test_math_verify_works_in_a_thread_where_its_alarm_cannot_ring():
    found = []
    thread = threading.Thread(target=lambda: found.append(is_right("#### y+2", "2+y", "math-verify")))
    thread.start()
    thread.join()
    assert found == [True]


def test_without_math_verify_the_error_holds_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'evalkit-rm\[math\]'"):
        is_right("#### 1", "1", "math-verify")


def test_math_verify_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_right(r"#### \frac{a}{b}", r"\frac{2a}{2b}", "math-verify")


def test_the_rule_scores_one_or_nothing():
    rows = [
        Generation("p", "so\nA: 42", extra={"answer": "It is so.\n#### 42"}),
        Generation("p", "The answer is $42.00.", extra={"answer": 42}),
        Generation("p", "41", extra={"answer": 42.0}),
        Generation("p", "none", extra={"answer": "42"}),
    ]
    assert [score.value for score in load_scorer("rule:answer").score(rows)] == [1, 1, 0, 0]
    exact = load_scorer("rule:answer?grader=exact&column=gold")
    assert exact.score([Generation("p", "A: B", extra={"gold": "B"})])[0].value == 1


def test_the_exact_grader_takes_no_float_which_would_never_equal_a_text():
    assert RightAnswer("exact").score([Generation("p", "A: 42", extra={"answer": 42})])[0].value == 1
    with pytest.raises(ScoringError, match=r"the exact grader can read, got 42\.0"):
        RightAnswer("exact").score([Generation("p", "A: 42", extra={"answer": 42.0})])


@pytest.mark.parametrize("reference", [None, True, ["42"], "Paris", float("inf")])
def test_the_rule_names_the_row_whose_reference_it_cannot_read(reference):
    with pytest.raises(ScoringError, match=r"id 'x7'.*'answer'.*numeric grader can read, got"):
        RightAnswer().score([Generation("p", "42", id="x7", extra={"answer": reference})])
    with pytest.raises(ScoringError, match=r"id 'x7'.*there are only no columns"):
        RightAnswer().score([Generation("p", "42", id="x7")])


def test_a_wrong_option_of_the_rule_is_refused():
    with pytest.raises(SpecError, match=f"grader is one of {', '.join(GRADERS)}; got 'close'"):
        load_scorer("rule:answer?grader=close")
    with pytest.raises(SpecError):
        load_scorer("rule:answer?answer=x")


def test_score_grades_a_file(tmp_path, capsys):
    data, out = tmp_path / "samples.jsonl", tmp_path / "graded.jsonl"
    row = {"prompt": "3 + 4?", "responses": ["A: 7", "A: 8", "It is 7"], "answer": "7"}
    data.write_text(json.dumps(row) + "\n")
    arguments = ["score", "--scorer", "rule:answer?grader=numeric", "--column", "correct"]
    arguments += ["--data", str(data), "--out", str(out)]
    main(arguments)
    assert json.loads(out.read_text()) == {**row, "corrects": [1, 0, 1]}
    data.write_text(json.dumps({**row, "answer": "seven"}) + "\n")
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--overwrite"])
    assert stop.value.code == 2
    assert f"{data}:1" in capsys.readouterr().err
