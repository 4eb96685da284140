import threading
from datetime import date

import pytest

from judges.asking.prices import EXPECTED_THOUGHT, SHIPPED, Prices, Spending, estimate_tokens
from judges.ledger.ledger import MeasuredUsage
from judges.questions.question import AnswerForm, Question
from judges.usage import Usage
from rewards.errors import DataError, MissingFileError
from rewards.records import Message

FILE = """
currency: EUR
as_of: 2026-01-02
source: https://example.org/prices
models:
  large: {input: 2, cached_input: 0.5, output: 8, batch_input: 1, batch_output: 4}
  large-mini: {input: 0.4, output: 1.6, as_of: 2026-03-04}
  large-2025-01-01: {input: 10, output: 30}
  local/one: {input: 0, output: 0}
"""


def load(tmp_path, text):
    file = tmp_path / "prices.yaml"
    file.write_text(text, encoding="utf-8")
    return Prices.load(str(file))


def question(content="Which is better?", style="text", criteria=(), **parameters):
    form = AnswerForm(style=style, criteria=criteria)
    return Question("openai:large", "http://here", (Message("user", content),), form, parameters)


def test_cost_by_hand(tmp_path):
    prices = load(tmp_path, FILE)
    usage = Usage(tokens_in=1_000_000, tokens_cached=400_000, tokens_out=250_000)
    assert prices.cost("large", usage) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.25 * 8)
    # A batch without a rate of its own for cached tokens pays them as any other.
    assert prices.cost("large", usage, batch=True) == pytest.approx(1 + 0.25 * 4)
    assert prices.cost("large-mini", usage) == pytest.approx(0.4 + 0.25 * 1.6)
    assert prices.currency == "EUR"


def test_what_has_no_price_costs_none_and_what_is_free_costs_0(tmp_path):
    prices = load(tmp_path, FILE)
    usage = Usage(tokens_in=10, tokens_out=10)
    assert prices.cost("unheard-of", usage) is None
    assert prices.cost("large-mini", usage, batch=True) is None
    assert prices.cost("local/one", usage) == 0.0


@pytest.mark.parametrize(
    ("model", "rate"),
    [
        ("large", 2),
        ("large-2024-11-20", 2),
        ("large-20241120", 2),
        ("large-2025-01-01", 10),
        ("large-mini-2025-04-14", 0.4),
        ("large-micro", None),
        ("large-2024", None),
        ("larg", None),
    ],
)
def test_only_a_date_at_the_end_is_taken_off_a_name(tmp_path, model, rate):
    price = load(tmp_path, FILE).price(model)
    assert (price and price.input) == rate


def test_a_model_may_say_its_own_day(tmp_path):
    prices = load(tmp_path, FILE)
    assert prices.models["large"].as_of == "2026-01-02"
    assert prices.models["large-mini"].as_of == "2026-03-04"
    assert prices.models["large-mini"].source == "https://example.org/prices"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: {a: {input: 1}}", "model a: field output is missing"),
        ("models: {a: {input: -1, output: 1}}", "model a: field input: .* got -1"),
        ("models: {a: {input: 1, output: cheap}}", "model a: field output: .* got 'cheap'"),
        ("models: {a: {input: 1, output: .nan}}", "model a: field output: .* got nan"),
        ("models: {a: {input: true, output: 1}}", "model a: field input: .* got True"),
        ("models: {a: {input: 1, output: 1, batch_input: 1}}", "model a: field batch_output is missing"),
        ("models: {a: {in: 1, output: 1}}", "model a: unknown field 'in'; known: input, output"),
        ("models: {a: 3}", "model a: expected names and values, got 3"),
        ("models: {4: {input: 1, output: 1}}", "field models: expected a name, got 4"),
        ("model: {}", "unknown field 'model'"),
        ("", "expected names and values, got None"),
        ("currency: 3\nmodels: {}", "field currency: .* got 3"),
        ("models: [", "not YAML"),
    ],
)
def test_an_error_names_file_field_and_value(tmp_path, text, told):
    with pytest.raises(DataError, match=told) as error:
        load(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "prices.yaml"))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere\.yaml"):
        Prices.load(str(tmp_path / "nowhere.yaml"))


def test_the_file_that_comes_with_the_package_is_dated_and_plausible():
    prices = Prices.load()
    assert prices.file == str(SHIPPED)
    assert prices.models
    for name, price in prices.models.items():
        assert date.fromisoformat(price.as_of) <= date(2100, 1, 1), name
        assert price.source.startswith("https://")
        assert 0 < price.input < price.output
        # The Batch API is sold at half the price.
        assert price.batch_input == pytest.approx(price.input / 2)
        assert price.batch_output == pytest.approx(price.output / 2)
        assert price.cached_input is None or price.cached_input < price.input


def test_threads_together_never_exceed_the_budget():
    spending, taken = Spending(10.0), []

    def spend():
        while spending.reserve(0.7):
            taken.append(1)
            spending.settle(0.7, 0.3)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spending.spent == pytest.approx(0.3 * len(taken))
    assert spending.spent <= 10.0
    assert spending.remaining < 0.7  # and not more than one call's highest cost is left


def test_reserved_money_is_not_free_until_it_is_settled_or_released():
    spending = Spending(1.0)
    assert spending.reserve(0.6)
    assert not spending.reserve(0.6)
    spending.release(0.6)
    assert spending.reserve(0.6)
    spending.settle(0.6, None)  # what it cost is not known
    assert spending.spent == 0.6
    assert spending.remaining == pytest.approx(0.4)
    unlimited = Spending()
    assert unlimited.reserve(1e9)


def test_estimates_by_rule_of_thumb():
    tokens = estimate_tokens(question("x" * 400, max_tokens=50))
    assert tokens.sent == 100 + 8
    assert tokens.received == 50  # the limit, as the guess is above it
    assert tokens.received_at_most == 50
    assert tokens.sent_at_most >= 400
    assert estimate_tokens(question("字" * 400)).sent == 400 + 8
    assert estimate_tokens(question("字" * 400)).sent_at_most >= 1200
    assert estimate_tokens(question()).received_at_most is None
    assert estimate_tokens(question(max_completion_tokens=7)).received_at_most == 7
    plain, reasoning = estimate_tokens(question()), estimate_tokens(question(max_completion_tokens=9999))
    assert reasoning.received == plain.received + EXPECTED_THOUGHT
    letter, text = (estimate_tokens(question(style=style)).received for style in ("letter", "text"))
    assert letter < text
    graded = estimate_tokens(question(style="schema", criteria=("a", "b"))).received
    assert graded == 2 * estimate_tokens(question(style="schema")).received


def test_a_schema_that_is_sent_counts():
    schema = {"type": "json_schema", "json_schema": {"name": "x" * 400}}
    plain, longer = estimate_tokens(question()), estimate_tokens(question(response_format=schema))
    assert longer.sent > plain.sent + 99
    assert longer.sent_at_most > plain.sent_at_most + 400


def test_estimates_follow_what_the_ledger_has_measured():
    measured = MeasuredUsage(10, 6000, 2000, 0, 120, 3.0, 10)
    tokens = estimate_tokens(question("x" * 300), measured)
    assert (tokens.sent, tokens.received) == (100, 12)
    assert estimate_tokens(question("x" * 300, max_tokens=5), measured).received == 5


def test_the_most_that_a_question_can_cost(tmp_path):
    prices = load(tmp_path, FILE)
    asked = question("x" * 1000, max_tokens=100)
    most = prices.most("large", asked)
    expected = prices.cost("large", Usage(tokens_in=258, tokens_out=100))
    assert most > expected
    assert prices.most("large", asked, batch=True) == pytest.approx(most / 2)
    assert prices.most("unheard-of", asked) is None
    assert prices.most("large", question()) is None  # no limit to the reply
    assert prices.most("local/one", question()) == 0.0


def test_a_model_that_stands_twice_is_named_with_its_line(tmp_path):
    with pytest.raises(DataError, match=r"prices\.yaml:5: key 'b' stands twice"):
        load(
            tmp_path,
            "models:\n  b: {input: 1, output: 1}\n  a:\n    {input: 1, output: 1}\n  b: {input: 2}\n",
        )
    with pytest.raises(DataError, match=r"prices\.yaml:2: key 'input' stands twice"):
        load(tmp_path, "models:\n  b: {input: 1, output: 1, input: 2}\n")
    merged = load(tmp_path, "models:\n  b: &b {input: 1, output: 1}\n  a: {<<: *b, output: 3}\n")
    assert (merged.models["a"].input, merged.models["a"].output) == (1.0, 3.0)
