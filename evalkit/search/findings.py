"""Summary of a finished search: endings, budget and accuracy, read from its rows."""

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
    """Solutions by ending."""
    all_cut: int = 0
    """Prompts without a finished solution."""
    negative: int = 0
    """Prompts with a negative score, which counts against its answer in a weighted vote."""
    unscored: int = 0
    """Empty solutions, which the scorer cannot score."""
    no_votes: int = 0
    """Prompts without an answer among the solutions chosen from."""
    one_step: bool = True
    """Whether no solution has a second step."""
    graded: int = 0
    right: Counter[str] = field(default_factory=Counter)
    """Prompts with a correct answer, by choice."""
    reachable: int = 0
    """Prompts with a correct answer among their solutions."""

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


def lines_of(findings: SearchFindings, method: str, separator: str) -> Iterator[str]:
    """Yield lines on the solutions, the budget, the accuracy of each choice, and warnings."""
    spent, rows = findings.budget, findings.rows
    yield (
        f"{method}: {counted(findings.rows, 'prompt')}, {counted(findings.solutions, 'solution')}, "
        f"{findings.endings[FINISHED]:,} of them ended by the policy"
    )
    yield (
        f"policy: {spent.tokens_sampled:,} tokens sampled in {counted(spent.candidates, 'candidate')}, "
        f"{counted(spent.prefixes, 'prefix', 'prefixes')} read with {spent.prefix_tokens:,} tokens of "
        "earlier steps"
    )
    scored, steps = counted(spent.solutions_scored, "solution"), counted(spent.steps_scored, "step")
    yield f"scorer: {scored} with {steps}, each counted once"
    yield (
        f"a prompt: {spent.tokens_sampled / rows:,.1f} tokens, {spent.policy_calls / rows:.1f} "
        f"calls of the policy, {spent.scorer_calls / rows:.1f} of the scorer"
    )
    yield from _accuracy(findings, method)
    yield from _warnings(findings, separator)


def _accuracy(findings: SearchFindings, method: str) -> Iterator[str]:
    for name in CHOICES if findings.graded else ():
        share = share_of(findings.right[name], findings.graded)
        if share is not None:
            own = " (the method's choice)" if name == OWN.get(method, "best") else ""
            yield (
                f"accuracy by {NAMES[name]}: {share.mean:.1%} [{share.low:.1%}, {share.high:.1%}], "
                f"{share.count} of {share.n}{own}"
            )
    if findings.graded:
        yield f"a right answer is among the solutions of {findings.reachable} of {findings.graded} prompts"
    if 0 < findings.graded < findings.rows:
        ungraded = counted(findings.rows - findings.graded, "prompt")
        yield f"not graded, without a column {REFERENCE!r}: {ungraded}"


def _warnings(findings: SearchFindings, separator: str) -> Iterator[str]:
    cut = {reason: count for reason, count in sorted(findings.endings.items()) if reason != FINISHED}
    if cut:
        yield "cut solutions: " + ", ".join(f"{count:,} by {reason}" for reason, count in cut.items())
    if findings.all_cut:
        yield (
            f"prompts without a solution that the policy ended, where the choice is among cut ones: "
            f"{findings.all_cut} of {findings.rows}"
        )
    if findings.no_votes:
        yield f"prompts without an answer to vote for: {findings.no_votes} of {findings.rows}"
    if findings.negative:
        yield (
            "prompts with scores below 0, which count against their answers in the weighted vote: "
            f"{findings.negative} of {findings.rows}"
        )
    if findings.budget.empty_steps:
        yield f"steps of nothing but the separator: {findings.budget.empty_steps:,}"
    if findings.budget.empty_solutions:
        yield f"empty solutions, which the policy ended at once: {findings.budget.empty_solutions:,}"
    if findings.unscored:
        yield f"without a score, as they have no step, and so behind all others: {findings.unscored:,}"
    if findings.one_step:
        yield f"the separator {separator!r} divides no solution: each is one step, chosen as by best of n"
