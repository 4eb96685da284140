"""How a leaderboard was computed, in words, and what limits it."""

from collections.abc import Sequence

from evalkit.judging.config import Rank
from evalkit.judging.page.verdict_page import Section
from evalkit.judging.rank.leaderboard import ALL_JUDGES, Board
from evalkit.report.text import counted

STRENGTHS = (
    "Strengths are of Bradley and Terry's model, natural logs with mean 0: a system 1 stronger than another "
    "wins 73% of their comparisons. Beats others is the win rate that strengths imply if every other "
    "system is met equally often; win rate is that of the verdicts there are, whoever the opponents were."
)
TIES = {
    "half": "A tie is half a win for each.",
    "davidson": "A tie is an outcome of its own (Davidson 1970).",
}
INTERVALS = (
    "Intervals resample prompts {resamples:,} times (seed {seed}), each with all of its verdicts: both "
    "orders, repeats and judges of one prompt are not independent."
)
TIED = (
    "Two systems differ significantly where Wald's test of their difference in strength (covariance robust "
    "to verdicts that share a prompt, Student's t) says so after Holm's correction for all pairs: the chance "
    "of any false difference on a board is at most about {alpha:.2g}; others are tied, no proof that "
    "they are equal: more prompts may tell. A system's range of ranks is what significant differences leave "
    "open. "
    "The interval of a strength is of one system by itself, and not corrected."
)
MISSING = "Verdicts without a winner are left out and counted; none is taken for a tie."
PRIOR = (
    "A normal prior with standard deviation {prior:g} pulls strengths together, those of few verdicts most; "
    "intervals are of strengths so pulled. The tests behind ranks and ties count the pull as uncertainty."
)
TOGETHER = "All judges together: each verdict counts once, so a judge with more of them counts more."
UNIDENTIFIED = (
    "{count:,} of {resamples:,} resamples left a system without a win or without a loss. Intervals are wider "
    "for them, and endless (inf) where they are too many; a prior or more prompts helps. "
    "Ranks and ties rest on the tests, not on these intervals."
)


def method_section(boards: Sequence[Board], config: Rank) -> Section:
    """Return how strengths, intervals and ties were computed, and what to keep in mind of these verdicts."""
    lines = [
        STRENGTHS,
        TIES[config.ties],
        INTERVALS.format(resamples=config.bootstrap, seed=config.seed),
        TIED.format(alpha=1 - config.level),
        MISSING,
    ]
    if config.prior:
        lines.append(PRIOR.format(prior=config.prior))
    if any(board.judge == ALL_JUDGES for board in boards):
        lines.append(TOGETHER)
    return Section("How this was computed", tuple(lines), notes=tuple(_warnings(boards)))


def _warnings(boards: Sequence[Board]) -> list[str]:
    notes = []
    for board in boards:
        named = f"{board.name}: " if board.name else ""
        fit = board.fit
        if fit.unidentified:
            words = UNIDENTIFIED.format(count=fit.unidentified, resamples=fit.settings.resamples)
            notes.append(f"{named}{words}")
        if fit.prompts < 2:
            notes.append(f"{named}one prompt alone gives no interval and no test.")
        if board.same:
            notes.append(f"{named}{counted(board.same, 'verdict')} on a system against itself left out.")
    return notes
