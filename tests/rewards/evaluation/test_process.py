"""Step scores of a scorer on labelled solutions, from Python."""

import pytest

from rewards.errors import ScoringError
from rewards.evaluation import evaluate_steps
from rewards.intervals import Resampling
from rewards.records import Score, StepLabels


class Lengths:
    """Scores a step by a tenth of its letters."""

    logit_scale = 1.0

    def __init__(self):
        self.asked = []

    def score(self, generations):
        self.asked += generations
        return [Score(0, tuple(len(step) / 10 for step in one.steps)) for one in generations]


def test_steps_are_scored_and_compared_with_their_labels():
    records = [
        StepLabels("a", ("eight...", "four"), (1, 0), "1", {"correct": False}),  # found
        StepLabels("b", ("eight...", "sixsix"), (1, 0), "2"),  # marked nowhere
        StepLabels("c", ("eight...", "sixsix"), (1, 1), "3"),  # passed
        StepLabels("d", (), (), "4"),  # nothing to score
    ]
    scorer = Lengths()
    found = evaluate_steps(scorer, iter(records), resampling=Resampling(resamples=20))
    assert [one.id for one in scorer.asked] == ["1", "2", "3"]
    assert (found.solutions, found.prompts, found.labelled_steps) == (4, 4, 6)
    # One of two erroneous solutions and the correct one: 2 * 0.5 * 1 / (0.5 + 1).
    assert found.first_error.f1 == pytest.approx(2 / 3)
    assert (found.false_alarms, found.detections) == (0, 0.5)
    assert found.untold == {"without steps": 1}


def test_a_step_without_a_score_is_an_error_that_names_its_solution():
    class Short(Lengths):
        def score(self, generations):
            return [Score(0, (0.5,)) for _ in generations]

    with pytest.raises(ScoringError, match="id 'x': the scorer gives 1 step scores for its 2 steps"):
        evaluate_steps(Short(), [StepLabels("a", ("one", "two"), (1, 0), "x")])
