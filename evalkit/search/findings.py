"""What a finished search has found and spent, read from its rows and told in lines."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from evalkit.report.text import counted
from evalkit.search.budget import Budget
from evalkit.search.choosing import CHOICES, REFERENCE
from evalkit.search.trees import FINISHED
from judges.statistics.shares import share_of
from rewards.files import Row, read_rows

NAMES = {
    "best": "highest score",
    "voted": "weighted vote",
    "majority": "majority vote",
}
"""How each choice is called."""
OWN = {"weighted-majority": "voted"}
"""The choice that a method is named for, where it is not the highest score."""


@dataclass(slots=True)
class SearchFindings:
    """Sums over the rows of a finished output."""

    rows: int = 0
    solutions: int = 0
    budget: Budget = field(default_factory=Budget)
    endings: Counter[str] = field(default_factory=Counter)
    """Solutions by how they ended."""
    all_cut: int = 0
    """Prompts none of whose solutions the policy ended."""
    negative: int = 0
    """Prompts with a score below 0, which in a weighted vote counts against its answer."""
    unscored: int = 0
    """Empty solutions of which the scorer can say nothing."""
    no_votes: int = 0
    """Prompts none of whose solutions that were chosen among has an answer."""
    one_step: bool = True
    """Whether no solution has a second step."""
    graded: int = 0
    right: Counter[str] = field(default_factory=Counter)
    """Prompts whose answer is right, by choice."""
    reachable: int = 0
    """Prompts with a right answer among their solutions."""

    def add(self, row: Row) -> None:
        """Count a row of the output."""
        endings = row.texts_in("finish_reasons")
        self.rows += 1
        self.solutions += len(endings)
        self.endings.update(endings)
        self.all_cut += FINISHED not in endings
        self.negative += any(isinstance(score, int | float) and score < 0 for score in row.list_in("scores"))
        self.unscored += sum(score is None for score in row.list_in("scores"))
        self.no_votes += row.column("voted_answer") is None
        self.one_step &= all(isinstance(steps, list) and len(steps) < 2 for steps in row.list_in("steps"))
        budget = row.column("budget")
        if not isinstance(budget, dict):
            raise row.expected("budget", "the counts of a search", budget)
        self.budget.add(budget)
        if row.values.get("corrects") is not None:
            self.graded += 1
            self.reachable += any(row.list_in("corrects"))
            self.right.update(name for name in CHOICES if row.column(f"{name}_correct"))


def findings_of(out: str) -> SearchFindings:
    """Return the sums over a finished output."""
    findings = SearchFindings()
    for row in read_rows(out):
        findings.add(row)
    return findings


def lines_of(found: SearchFindings, method: str, separator: str) -> Iterator[str]:
    """Yield the solutions, the budget, the accuracy of each choice, and what a reader might not expect."""
    spent = found.budget
    yield (
        f"{method}: {counted(found.rows, 'prompt')}, {counted(found.solutions, 'solution')}, "
        f"{found.endings[FINISHED]:,} of them ended by the policy"
    )
    yield (
        f"policy: {spent.tokens_sampled:,} tokens sampled in {counted(spent.candidates, 'candidate')}, "
        f"{counted(spent.prefixes, 'prefix', 'prefixes')} read with {spent.prefix_tokens:,} tokens of "
        "earlier steps"
    )
    scored, steps = counted(spent.solutions_scored, "solution"), counted(spent.steps_scored, "step")
    yield f"scorer: {scored} with {steps}, each counted once"
    yield (
        f"a prompt: {spent.tokens_sampled / found.rows:,.1f} tokens, {spent.policy_calls / found.rows:.1f} "
        f"calls of the policy, {spent.scorer_calls / found.rows:.1f} of the scorer"
    )
    yield from _accuracy(found, method)
    yield from _warnings(found, separator)


def _accuracy(found: SearchFindings, method: str) -> Iterator[str]:
    for name in CHOICES if found.graded else ():
        share = share_of(found.right[name], found.graded)
        if share is not None:
            own = " (the method's choice)" if name == OWN.get(method, "best") else ""
            yield (
                f"accuracy by {NAMES[name]}: {share.mean:.1%} [{share.low:.1%}, {share.high:.1%}], "
                f"{share.count} of {share.n}{own}"
            )
    if found.graded:
        yield f"a right answer is among the solutions of {found.reachable} of {found.graded} prompts"
    if 0 < found.graded < found.rows:
        yield f"not graded, without a column {REFERENCE!r}: {counted(found.rows - found.graded, 'prompt')}"


def _warnings(found: SearchFindings, separator: str) -> Iterator[str]:
    cut = {reason: count for reason, count in sorted(found.endings.items()) if reason != FINISHED}
    if cut:
        yield "cut solutions: " + ", ".join(f"{count:,} by {reason}" for reason, count in cut.items())
    if found.all_cut:
        yield (
            f"prompts without a solution that the policy ended, where the choice is among cut ones: "
            f"{found.all_cut} of {found.rows}"
        )
    if found.no_votes:
        yield f"prompts without an answer to vote for: {found.no_votes} of {found.rows}"
    if found.negative:
        yield (
            "prompts with scores below 0, which count against their answers in the weighted vote: "
            f"{found.negative} of {found.rows}"
        )
    if found.budget.empty_steps:
        yield f"steps of nothing but the separator: {found.budget.empty_steps:,}"
    if found.budget.empty_solutions:
        yield f"empty solutions, which the policy ended at once: {found.budget.empty_solutions:,}"
    if found.unscored:
        yield f"without a score, as they have no step, and so behind all others: {found.unscored:,}"
    if found.one_step:
        yield f"the separator {separator!r} divides no solution: each is one step, chosen as by best of n"
