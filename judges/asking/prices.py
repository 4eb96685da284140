"""Prices of models from an editable file, estimates of tokens, and a budget."""

import json
import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

from judges.questions.question import Question
from judges.questions.yaml_file import read_yaml
from judges.usage import Usage
from rewards.errors import DataError, MissingFileError

if TYPE_CHECKING:  # the ledger is not needed to read prices
    from judges.ledger.ledger import MeasuredUsage

SHIPPED = Path(__file__).with_name("prices.yaml")
MILLION = 1_000_000

_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
_FILE_FIELDS = ("currency", "as_of", "source", "models")

CHARACTERS_PER_TOKEN = 4.0
"""Rule of thumb for English text, until the ledger has measured the judge's own."""
MESSAGE_TOKENS = 4
"""Tokens that a chat format adds to each message, and once to open the reply."""
EXPECTED_REPLY = {"text": 200, "schema": 40, "letter": 2}
"""Tokens of a reply by its form's style: guesses, until the ledger has measured the judge's own."""
EXPECTED_THOUGHT = 800
"""Tokens that a model which reasons, as its max_completion_tokens shows, adds to each reply: a guess, too."""


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a million tokens of one model."""

    input: float
    output: float
    cached_input: float | None = None
    """Of sent tokens that were in the prompt cache; None is as `input`."""
    batch_input: float | None = None
    """By the Batch API; None is not known."""
    batch_output: float | None = None
    batch_cached_input: float | None = None
    as_of: str = ""
    """The day on which it was looked up."""
    source: str = ""
    """Where it was looked up."""

    def cost(self, usage: Usage, batch: bool = False) -> float | None:
        """Return what the tokens of a usage cost; None by batch where there is no batch price."""
        rate_in, rate_cached, rate_out = (
            (self.batch_input, self.batch_cached_input, self.batch_output)
            if batch
            else (self.input, self.cached_input, self.output)
        )
        if rate_in is None or rate_out is None:
            return None
        cached = min(usage.tokens_cached, usage.tokens_in)
        rate_cached = rate_in if rate_cached is None else rate_cached
        paid = (usage.tokens_in - cached) * rate_in + cached * rate_cached + usage.tokens_out * rate_out
        return paid / MILLION


@dataclass(frozen=True)
class Prices:
    """The prices of a file."""

    models: Mapping[str, Price] = field(default_factory=dict)
    currency: str = "USD"
    file: str = ""

    @classmethod
    def load(cls, path: str = "") -> Self:
        """Read a price file; without a path the one that comes with the package.

        Raises:
            MissingFileError: There is no such file.
            DataError: The file is not as `judges/asking/prices.yaml` explains; file, field and value are
                named.
        """
        file = Path(path) if path else SHIPPED
        if not file.is_file():
            raise MissingFileError(f"{file}: no such file of prices")
        values = _mapping(read_yaml(file), f"{file}:", _FILE_FIELDS)
        currency = values.get("currency", "USD")
        if not isinstance(currency, str) or not currency:
            raise DataError(f"{file}: field currency: expected a name such as USD, got {currency!r}")
        shared: dict[str, object] = {name: values[name] for name in ("as_of", "source") if name in values}
        models = _mapping(values.get("models"), f"{file}: field models:")
        prices = {name: _price(file, name, row, shared) for name, row in models.items()}
        return cls(prices, currency, str(file))

    def price(self, model: str) -> Price | None:
        """Return the price of a model by its exact name, else by its name without a snapshot's date.

        Only a date at the end (`-2024-11-20`, `-20241120`) is taken off, so that a longer name never takes
        the price of a shorter one: `gpt-4o-mini` is not `gpt-4o`.
        """
        return self.models.get(model) or self.models.get(_SNAPSHOT.sub("", model))

    def cost(self, model: str, usage: Usage, batch: bool = False) -> float | None:
        """Return what a usage costs, in `currency`; None where the model has no such price."""
        price = self.price(model)
        return None if price is None else price.cost(usage, batch)

    def most(self, model: str, question: Question, batch: bool = False) -> float | None:
        """Return the maximum cost of a question, to be reserved before it is asked.

        None where the model has no such price, or the question sets no limit to its reply and a reply costs.
        """
        price = self.price(model)
        if price is None:
            return None
        tokens = estimate_tokens(question)
        received = tokens.received_at_most
        if received is None:
            if (price.batch_output if batch else price.output) != 0:
                return None
            received = 0
        return price.cost(Usage(tokens.sent_at_most, 0, received), batch)


class Spending:
    """Money spent and reserved, never more than a budget; several threads may share it.

    A call's highest cost is reserved before it is sent and settled by what it did cost, so that calls in
    flight cannot exceed the budget together. At most one call's highest cost stays unspent.
    """

    def __init__(self, budget: float | None = None, spent: float = 0.0) -> None:
        self.budget = budget
        """None sets no limit."""
        self._spent = spent
        self._reserved = 0.0
        self._calls = 0
        self._lock = threading.Lock()

    @property
    def spent(self) -> float:
        """Cost of the settled calls."""
        with self._lock:
            return self._spent

    @property
    def remaining(self) -> float:
        """The unreserved rest of the budget; infinite without a budget."""
        with self._lock:
            return self._free()

    def reserve(self, amount: float) -> bool:
        """Reserve an amount; False, with nothing reserved, if it exceeds the remaining budget."""
        with self._lock:
            if amount > self._free():
                return False
            self._reserved += amount
            self._calls += 1
            return True

    def settle(self, reserved: float, actual: float | None) -> None:
        """Replace a reserved amount by the call's actual cost.

        Args:
            reserved: The amount that was reserved.
            actual: None where it is not known, as for a call that was cut off after it was sent: then all
                that was reserved counts as spent.
        """
        with self._lock:
            self._return(reserved)
            self._spent += reserved if actual is None else actual

    def release(self, reserved: float) -> None:
        """Give a reserved amount back: the call was not made, or was refused and so costs nothing."""
        with self._lock:
            self._return(reserved)

    def _return(self, reserved: float) -> None:
        self._calls -= 1
        # With no call in flight nothing is reserved, whatever rounding says.
        self._reserved = self._reserved - reserved if self._calls else 0.0

    def _free(self) -> float:
        return self.budget - self._spent - self._reserved if self.budget is not None else math.inf


@dataclass(frozen=True, slots=True)
class Tokens:
    """How many tokens asking a question takes, before it is asked."""

    sent: int
    """Expected."""
    received: int
    """Expected."""
    sent_at_most: int
    """One for each byte of the text: a byte-level tokenizer never makes more."""
    received_at_most: int | None
    """The question's limit; None where it sets none."""


def estimate_tokens(question: Question, measured: "MeasuredUsage | None" = None) -> Tokens:
    """Estimate a question's tokens from its characters.

    Sent: 4 ASCII characters a token, one token for any other character, and 4 a message; where the ledger has
    answers of the judge, their own characters per token. Received: a guess by the form of the reply; where
    the ledger has answers, their mean; never more than the limit that the question sets.

    Args:
        question: The question.
        measured: What the ledger has measured of the judge.
    """
    texts = [message.content for message in question.messages]
    schema = question.parameters.get("response_format")
    if schema is not None:
        texts.append(json.dumps(schema))
    overhead = MESSAGE_TOKENS * (len(question.messages) + 1)
    characters = sum(len(text) for text in texts)
    if measured is not None and measured.calls and measured.characters and measured.tokens_in:
        sent = characters * measured.tokens_in / measured.characters
    else:
        ascii_only = sum(len(text.encode("ascii", "ignore")) for text in texts)
        sent = ascii_only / CHARACTERS_PER_TOKEN + (characters - ascii_only) + overhead
    most = _reply_limit(question)
    if measured is not None and measured.calls and measured.tokens_out:
        received = measured.tokens_out / measured.calls
    else:
        received = EXPECTED_REPLY[question.form.style] * max(1, len(question.form.criteria))
        received += EXPECTED_THOUGHT if "max_completion_tokens" in question.parameters else 0
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    expected = math.ceil(received if most is None else min(received, most))
    return Tokens(math.ceil(sent), expected, size + 2 * overhead, most)


def _reply_limit(question: Question) -> int | None:
    limits = [question.parameters.get(name) for name in ("max_tokens", "max_completion_tokens")]
    known = [limit for limit in limits if isinstance(limit, int) and not isinstance(limit, bool)]
    return min(known, default=None)


def _mapping(value: object, where: str, known: tuple[str, ...] = ()) -> dict[str, object]:
    if not isinstance(value, dict):
        raise DataError(f"{where} expected names and values, got {value!r}")
    for name in value:
        if not isinstance(name, str):
            raise DataError(f"{where} expected a name, got {name!r}; put it in quotes")
        if known and name not in known:
            raise DataError(f"{where} unknown field {name!r}; known: {', '.join(known)}")
    return value


def _price(file: Path, model: str, row: object, shared: Mapping[str, object]) -> Price:
    where = f"{file}: model {model}:"
    names = tuple(one.name for one in fields(Price))
    values = {**shared, **_mapping(row, where, names)}
    for name in ("input", "output"):
        if name not in values:
            raise DataError(f"{where} field {name} is missing; a model that costs nothing has 0")
    notes = {name: str(values.pop(name)) for name in ("as_of", "source") if name in values}
    rates = {name: _rate(f"{where} field {name}:", value) for name, value in values.items()}
    for one, other in (("batch_input", "batch_output"), ("batch_output", "batch_input")):
        if one in rates and other not in rates:
            raise DataError(f"{where} field {other} is missing; a batch has both or neither")
    return Price(**rates, **notes)  # type: ignore[arg-type]  # numbers and texts by name, checked above


def _rate(where: str, value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < math.inf:  # type: ignore[operator]  # a number by the line above
        raise DataError(f"{where} expected money for a million tokens, 0 or more, got {value!r}")
    return float(value)  # type: ignore[arg-type]  # a number, as above
