"""What `evalkit process-eval` prints: first errors found, then single steps, then where scores are fooled."""

from collections.abc import Iterator

from evalkit.report.text import counted, decimal, span
from rewards.evaluation.first_errors import FirstErrorF1
from rewards.evaluation.mistakes import Misses
from rewards.evaluation.process import ProcessFindings
from rewards.intervals import Estimate


def process_lines(findings: ProcessFindings, calibration_data: str, level: float) -> list[str]:
    """Return the lines, the accuracies and F1 first.

    Args:
        findings: The metrics.
        calibration_data: The file on which the threshold was chosen; empty if it was given.
        level: Confidence level of the intervals.
    """
    result = findings.first_error
    return [
        f"{result.erroneous} erroneous solutions: accuracy {decimal(result.erroneous_accuracy, 4)}",
        f"{result.correct} correct solutions: accuracy {decimal(result.correct_accuracy, 4)}",
        f"F1 {decimal(result.f1, 4)}",
        *_threshold(findings, calibration_data),
        *_intervals(findings, level),
        *_left_out(findings),
        *_steps(findings, level),
        *_fooled(findings.misses, result),
        *_by_steps(findings),
    ]


def _threshold(findings: ProcessFindings, calibration_data: str) -> Iterator[str]:
    chosen = findings.chosen
    if chosen is None:
        yield f"threshold {findings.threshold:.6g}, as given; a step that scores below is marked as wrong"
        return
    low = "any" if chosen.low is None else f"{chosen.low:.6g}"
    high = "any" if chosen.high is None else f"{chosen.high:.6g}"
    told = counted(chosen.result.erroneous + chosen.result.correct, "solution")
    yield (
        f"threshold {findings.threshold:.6g}, chosen on {calibration_data}: "
        f"F1 {decimal(chosen.result.f1, 4)} there from {low} to {high}, over {told}"
    )
    if not chosen.result.f1:
        yield "no threshold finds a first error there and passes a correct solution, so that it means nothing"


def _intervals(findings: ProcessFindings, level: float) -> Iterator[str]:
    ends = findings.intervals
    yield (
        f"{100 * level:.4g}% intervals over {counted(findings.prompts, 'prompt')}: "
        f"erroneous {_ends(ends.erroneous)}, correct {_ends(ends.correct)}, "
        f"F1 {span(decimal(ends.f1_low, 4), decimal(ends.f1_high, 4))}"
    )
    if ends.undefined:
        yield f"{ends.undefined} resamples have no F1, for want of erroneous or of correct solutions"


def _left_out(findings: ProcessFindings) -> Iterator[str]:
    reasons = ", ".join(f"{count} {reason}" for reason, count in findings.untold.items())
    left = sum(findings.untold.values())
    yield (
        f"{left} of {counted(findings.solutions, 'solution')} left out, whose labels do not tell the "
        f"first error{f': {reasons}' if reasons else ''}"
    )
    if findings.soft:
        yield f"{counted(findings.soft, 'solution')} with soft labels: a step labelled below 0.5 is wrong"
    yield (
        f"{counted(findings.labelled_steps, 'labelled step')}; "
        f"{counted(findings.unlabelled_steps, 'step')} without a label left out of what follows"
    )


def _steps(findings: ProcessFindings, level: float) -> Iterator[str]:
    roc, calibration = findings.roc, findings.calibration
    ends = span(decimal(roc.low, 4), decimal(roc.high, 4))
    yield (
        f"AUC {decimal(roc.auc, 4)} ({100 * level:.4g}% interval {ends}) "
        f"over {roc.right} right and {counted(roc.wrong, 'wrong step')}"
    )
    if roc.undefined:
        yield f"{roc.undefined} resamples have no AUC, for want of right or of wrong steps"
    yield (
        f"marked at the threshold: {decimal(findings.detections, 4)} of the wrong steps, "
        f"{decimal(findings.false_alarms, 4)} of the right ones"
    )
    if calibration is None:
        yield "calibration -: it needs labelled steps with scores in [0, 1], as probabilities are"
        return
    loss = decimal(calibration.log_loss, 4) if calibration.log_loss is not None else "infinite"
    certain = f" ({calibration.impossible} steps were certain and wrong)" if calibration.impossible else ""
    yield (
        f"calibration: expected error {calibration.error:.4f} in {calibration.number_of_bins} bins, "
        f"Brier {calibration.brier:.4f}, log loss {loss}{certain}"
    )


def _fooled(found: Misses, result: FirstErrorF1) -> Iterator[str]:
    if result.erroneous:
        yield (
            f"the first error: {found.exact} found, {found.early} marked too early, {found.late} too late, "
            f"{found.unmarked} not marked"
        )
    yield (
        f"mean score: {decimal(found.at_first_error, 4)} at the first wrong step, "
        f"{decimal(found.before_first_error, 4)} at the right steps before it, "
        f"{decimal(found.at_right_steps, 4)} at all right steps"
    )
    if found.right_answers is None:
        yield "right answers by a wrong step: the data do not say which answers are right"
    else:
        yield (
            f"right answers by a wrong step: {counted(found.right_answers, 'solution')}, of which "
            f"{found.right_answers_marked} marked somewhere, {found.right_answers_exact} at that step"
        )


def _by_steps(findings: ProcessFindings) -> Iterator[str]:
    if len(findings.by_steps) < 2:
        return
    for group in findings.by_steps:
        result = group.result
        steps = f"{group.least}" if group.least == group.most else f"{group.least} to {group.most}"
        yield (
            f"with {steps} steps: F1 {decimal(result.f1, 4)}, "
            f"{decimal(result.erroneous_accuracy, 4)} of {result.erroneous} erroneous, "
            f"{decimal(result.correct_accuracy, 4)} of {result.correct} correct"
        )


def _ends(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return span(decimal(estimate.low, 4), decimal(estimate.high, 4))
