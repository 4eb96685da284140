"""Win rate so far, its correction by people, and how many labels are still needed."""

import math
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from judges.human.answers import BestAnswer, PairwiseAnswer, RankingAnswer
from judges.human.figures.numbers import Precision, text_digest
from judges.human.figures.study_numbers import JudgeVerdicts, StudyNumbers
from judges.human.labels import Annotator, AnnotatorProgress, Label
from judges.human.study import Study
from judges.human.tasks import Task, task_comparison
from judges.human.web.admin_page import overview
from judges.judge import Verdict
from judges.statistics.correction import human_corrected_win_rate
from judges.statistics.win_rate import win_rate
from judges.verdicts.reading import verdict_row
from rewards.files import write_rows

QUICK = Precision(bootstrap=200)
WINNER = {1.0: "first", 0.5: "tie", 0.0: "second"}


def pair(number, prompt="", systems=("new", "old"), gold=None):
    texts = (f"one {number}", f"two {number}")
    return Task("pairwise", prompt or f"prompt {number}", texts, systems=systems, id=str(number), gold=gold)


class Memory:
    """A store of made-up labels; `votes` are each task's outcomes for its first response, None a skip."""

    def __init__(self, tasks, votes, orders=None, overlap=2, answers=None):
        self.all = list(tasks)
        self.votes = votes
        self.orders = orders or list(range(len(self.all)))
        self.settings = Study(overlap=overlap, title="made up")
        self.make = answers or (lambda vote: PairwiseAnswer(WINNER[vote]))
        self.event = 1
        self.read = 0

    def study(self):
        return self.settings

    def tasks(self, ids=None):
        return ((number, self.all[number]) for number in (range(len(self.all)) if ids is None else ids))

    def annotators(self):
        return [Annotator(1, "p0")]

    def progress(self, _):
        return AnnotatorProgress(0, 0, len(self.all))

    def last_event(self):
        return self.event

    def task_states(self):
        for number, task in enumerate(self.all):
            votes = self.votes.get(number, ())
            answers = sum(vote is not None for vote in votes)
            yield SimpleNamespace(
                id=number,
                order=self.orders[number],
                answers=answers,
                wanted=0 if task.gold else self.settings.overlap,
                skipped=len(votes) - answers,
                held=0,
            )

    def labels(self):
        self.read += 1
        for number, votes in self.votes.items():
            for person, vote in enumerate(votes):
                answer = None if vote is None else self.make(vote)
                shown = tuple(range(len(self.all[number].responses)))
                yield Label(
                    number, self.all[number], f"p{person}", answer, shown, "", 5.0, 0.0, f"{number}.{person}"
                )


def figures(store, verdicts=(), precision=QUICK):
    return StudyNumbers(store, verdicts, precision, clock=lambda: 100.0)()


def test_the_win_rate_weighs_tasks_alike_takes_the_first_answers_and_stops_where_none_is():
    """1: both say new. 2: one each, and a tie-break that does not count. 3: one alone, old. 4: nobody yet.

    5: new, but behind 4. So it is (1 + 0.5 + 0) / 3, over tasks and not over answers.
    """
    votes = {0: [1.0, 1.0], 1: [1.0, 0.0, 1.0], 2: [0.0], 4: [1.0, 1.0]}
    store = Memory([pair(number) for number in range(5)], votes)
    (found,) = figures(store).compared
    assert (found.first, found.second, found.tasks, found.measured) == ("new", "old", 5, 3)
    assert found.rate == win_rate([1.0, 0.5, 0.0], [0, 1, 2], resamples=200)
    assert found.rate.mean == 0.5
    assert found.why == ""


def test_a_check_is_no_part_of_it_and_a_skipped_task_is_missing():
    tasks = [pair(0, gold=PairwiseAnswer("second")), pair(1), pair(2)]
    (found,) = figures(Memory(tasks, {0: [0.0], 1: [None], 2: [1.0, 0.5]})).compared
    assert (found.tasks, found.measured, found.rate.n, found.rate.missing) == (2, 2, 1, 1)
    assert found.rate.mean == 0.75
    assert "one prompt" in found.why
    assert found.rate.low is None


def test_a_task_told_the_other_way_round_counts_for_the_same_system():
    tasks = [pair(0), pair(1, systems=("old", "new"))]
    (found,) = figures(Memory(tasks, {0: [1.0], 1: [0.0]}, overlap=1)).compared
    assert (found.first, found.rate.mean, found.tasks) == ("new", 1.0, 2)


def test_prompts_are_clusters():
    tasks = [pair(number, prompt=f"prompt {number % 4}") for number in range(40)]
    votes = {number: [float(number % 4 < 2)] for number in range(40)}
    (found,) = figures(Memory(tasks, votes, overlap=1)).compared
    assert (found.rate.n, found.rate.prompts) == (40, 4)
    assert found.rate.high - found.rate.low > 0.5


def test_labels_still_needed_follow_from_the_spread():
    """40 prompts, half won: sd 0.5064 at ddof 1, so (1.96 * 0.5064 / 0.1)^2 = 98.5 prompts of two answers."""
    tasks = [pair(number) for number in range(60)]
    votes = {number: 2 * [float(number % 2)] for number in range(40)}
    precision = Precision(width=0.1, bootstrap=200)
    (found,) = figures(Memory(tasks, votes), precision=precision).compared
    sd = np.std(20 * [0.0, 1.0], ddof=1)
    enough = math.ceil((1.959964 * sd / 0.1) ** 2)
    assert enough == 99
    assert found.more_labels == (enough - 40) * 2
    assert found.more_why == "which takes more tasks than there are"  # 20 tasks of two answers are left
    (reached,) = figures(Memory(tasks, votes), precision=Precision(width=0.4, bootstrap=200)).compared
    assert (reached.more_labels, reached.more_why) == (0, "")


def test_where_there_is_no_figure_it_says_why():
    alike = figures(Memory([pair(0), pair(1)], {0: [1.0], 1: [1.0]}, overlap=1)).compared[0]
    assert alike.rate.mean == 1.0
    assert alike.rate.low < 0.5  # two wins prove little
    assert (alike.more_labels, alike.more_why) == (
        None,
        "answers that are all alike cannot tell how many are needed",
    )
    behind = figures(Memory([pair(0), pair(1)], {1: [1.0]})).compared[0]
    assert behind.rate is None
    assert "head of the random order" in behind.why
    skipped = figures(Memory([pair(0)], {0: [None]}))
    assert "skipped" in skipped.compared[0].why
    assert "nobody has compared" in figures(Memory([pair(0)], {})).notes[0]
    assert "no tasks" in figures(Memory([], {})).notes[0]
    assert any("given to two" in note for note in figures(Memory([pair(0)], {0: [1.0]}, overlap=1)).notes)
    (more,) = figures(Memory([pair(0)], {0: [1.0, 0.0]}, overlap=1)).notes
    assert "imported ones: 1; win rates are read from the first" in more


def test_rankings_tell_every_pair_of_systems():
    task = Task("ranking", "p", ("x", "y", "z"), systems=("A", "B", "C"))
    store = Memory([task], {0: [0]}, overlap=1, answers=lambda _: RankingAnswer((1, 2, 2)))
    means = {(one.first, one.second): one.rate.mean for one in figures(store).compared}
    assert means == {("A", "B"): 1.0, ("A", "C"): 1.0, ("B", "C"): 0.5}


def test_ranked_and_compared_tasks_of_the_same_systems_count_together():
    tasks = [Task("ranking", "p", ("x", "y", "z"), systems=("new", "old", "C")), pair(1), pair(2, systems=())]
    store = Memory(tasks, {0: [1.0], 1: [1.0], 2: [0.0]}, overlap=1)
    store.make = lambda vote: PairwiseAnswer(WINNER[vote])
    labels = [*store.labels()]
    store.labels = lambda: iter([replace(labels[0], answer=RankingAnswer((2, 1, 3))), *labels[1:]])
    found = {
        (one.first, one.second): (one.tasks, one.measured, one.rate.mean) for one in figures(store).compared
    }
    assert found[("new", "old")] == (2, 2, 0.5)
    assert found[("new", "C")] == (1, 1, 1.0)
    assert found[("first", "second")] == (1, 1, 0.0)
    store.all.append(Task("ranking", "q", ("x", "y")))  # by nobody who is named
    store.orders.append(3)
    unnamed = figures(store).compared[-1]
    assert (unnamed.first, unnamed.tasks) == ("first", 1)


def test_a_ranking_of_answers_nobody_is_named_for_tells_no_system_anything():
    tasks = [Task("ranking", "p", ("x", "y", "z"), systems=("A", "B", ""))]
    store = Memory(tasks, {0: [0]}, overlap=1, answers=lambda _: RankingAnswer((1, 2, 2)))
    found = figures(store)
    assert (found.compared, found.qualities) == ((), ())
    assert any("without the names" in note for note in found.notes)


def test_best_of_k_has_a_table_and_no_win_rate():
    task = Task("best", "p", ("x", "y"), systems=("A", "B"))
    store = Memory([task], {0: [0]}, overlap=1, answers=lambda _: BestAnswer(0, (5, 2)))
    found = figures(store)
    assert found.compared == ()
    assert [(one.system, one.best.mean, one.quality.mean) for one in found.qualities] == [
        ("A", 1, 5),
        ("B", 0, 2),
    ]
    assert "pairwise or ranking" in found.notes[0]


def judged(tmp_path, tasks, outcomes):
    rows = []
    for task, outcome in zip(tasks, outcomes, strict=True):
        given = Verdict(task_comparison(task), WINNER[outcome], None, judge="openai:m")
        rows += [verdict_row(given), verdict_row(given.swap().swap())]
        rows[-1]["swapped"] = True
    write_rows(tmp_path / "verdicts.jsonl", rows, overwrite=True)
    return str(tmp_path / "verdicts.jsonl")


@pytest.fixture
def study(tmp_path):
    """30 of 90 comparisons are labelled by two people each; the judge errs on a sixth of them."""
    rng = np.random.default_rng(0)
    tasks = [pair(number) for number in range(90)]
    truth = (rng.random(90) < 0.6).astype(float)
    judge = np.where(rng.random(90) < 1 / 6, 1 - truth, truth)
    votes = {number: [truth[number], truth[number]] for number in range(30)}
    votes[30] = [0.5, 0.5]
    return Memory(tasks, votes), judged(tmp_path, tasks, judge), truth, judge


def test_the_corrected_win_rate_is_that_of_the_measured_labels(study):
    store, source, truth, judge = study
    (found,) = figures(store, source).compared
    (beside,) = found.judges
    human = [*truth[:30], 0.5]
    expected = human_corrected_win_rate(
        np.repeat(judge, 2), human, judge[:31], 0.95, np.repeat(np.arange(90), 2), np.arange(31)
    )
    assert (beside.judge, beside.shared) == ("openai:m", 31)
    assert beside.corrected.mean == pytest.approx(expected.mean)
    assert (beside.corrected.low, beside.corrected.high) == pytest.approx((expected.low, expected.high))
    assert beside.more_labels == 2 * expected.more_labels(0.03)  # two answers to each
    agree = np.mean([*(truth[:30] == judge[:30]), False])  # a tie is not what the judge said
    assert beside.agreement.percent.value == pytest.approx(agree)
    assert beside.agreement.percent.n == 31


def test_a_judge_is_corrected_where_nobody_names_the_systems(study, tmp_path):
    store, *_, judge = study
    named = figures(store, judged(tmp_path, store.all, judge)).compared[0].judges[0].corrected
    store.all = [replace(task, systems=()) for task in store.all]
    (found,) = figures(store, judged(tmp_path, store.all, judge)).compared
    assert (found.first, found.judges[0].why) == ("first", "")
    assert found.judges[0].corrected == named


def test_the_admin_page_shows_what_was_found_and_why_something_was_not(study):
    page = pytest.importorskip("judges.human.web.page")
    store, source, *_ = study
    show = page.environment().get_template("numbers.html").render
    found = figures(store, source)
    html = show(overview(found))
    rate, corrected = found.compared[0].rate, found.compared[0].judges[0].corrected
    for words in (
        f"{rate.mean:.0%}",
        f"{corrected.low:.0%} to {corrected.high:.0%}",
        "openai:m",
        "31 of 90 tasks",
    ):
        assert words in html
    behind = show(overview(figures(Memory([pair(0), pair(1)], {1: [1.0]}))))
    assert "head of the random order" in behind
    assert "no verdicts of judges" in behind
    other = Memory([pair(0, systems=("new", "third"))], {0: [1.0]})
    assert "on other systems" in show(overview(figures(other, source)))
    best = Task("best", "p", ("x", "y"), systems=("A", "B"))
    table = show(overview(figures(Memory([best], {0: [0]}, answers=lambda _: BestAnswer(0, (5, 2))))))
    assert "Chosen best" in table
    assert "too few prompts yet" in table


def test_the_correction_is_told_for_the_side_that_people_are_asked_about_first(study, tmp_path):
    store, _, _, judge = study
    turned = [pair(number, systems=("old", "new")) for number in range(90)]
    flipped = [
        Task("pairwise", task.prompt, task.responses[::-1], systems=task.systems, id=task.id)
        for task in turned
    ]
    source = judged(tmp_path, flipped, 1 - judge)
    (found,) = figures(store, source).compared
    assert found.judges[0].corrected.model_mean == pytest.approx(judge.mean())


def test_verdicts_on_other_systems_are_beside_nothing(study, tmp_path):
    store, *_ = study
    source = judged(tmp_path, [pair(0, systems=("new", "other"))], [1.0])
    (found,) = figures(store, source).compared
    assert found.judges == ()


def test_too_few_shared_prompts_say_so(tmp_path):
    tasks = [pair(number) for number in range(10)]
    store = Memory(tasks, {0: [1.0], 1: [0.0]}, overlap=1)
    (beside,) = figures(store, judged(tmp_path, tasks, 10 * [1.0])).compared[0].judges
    assert beside.corrected is None
    assert "at least 3 prompts" in beside.why


def test_a_judges_word_is_that_of_most_orders(tmp_path):
    task = pair(0)
    one = task_comparison(task)
    rows = [
        verdict_row(Verdict(one, winner, None, judge="j", repeat=n))
        for n, winner in enumerate(["first", "second", "first"])
    ]
    rows += [
        verdict_row(Verdict(one, winner, None, judge="k", repeat=n))
        for n, winner in enumerate(["first", "second"])
    ]
    write_rows(tmp_path / "v.jsonl", rows)
    judges = JudgeVerdicts([str(tmp_path / "v.jsonl")])
    words = {word.judge: word.better for word in judges.words(task.prompt, task.responses[::-1])}
    assert words == {"j": text_digest(task.responses[0]), "k": None}
    assert judges.words("another prompt", task.responses) == []


def test_nothing_is_computed_again_until_something_changes(monkeypatch):
    store = Memory([pair(0)], {0: [1.0]}, overlap=1)
    numbers = StudyNumbers(store, (), QUICK, clock=lambda: 0.0)
    threads = [threading.Thread(target=numbers) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers() is numbers()
    assert store.read == 1
    now = [1e9]
    monkeypatch.setattr("judges.human.figures.study_numbers.time.monotonic", lambda: now[0])
    store.event += 1
    store.votes[0] = [0.0]
    assert numbers().compared[0].rate.mean == 0.0
    assert store.read == 2


def test_labels_that_stream_in_do_not_keep_it_computing(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("judges.human.figures.study_numbers.time.monotonic", lambda: now[0])
    store = Memory([pair(0)], {0: [1.0]}, overlap=1)
    labels = store.labels

    def slow():
        now[0] += 2
        return labels()

    store.labels = slow
    numbers = StudyNumbers(store, (), QUICK, clock=lambda: 0.0)
    first = numbers()
    store.event += 1
    now[0] += 17
    assert numbers() is first
    now[0] += 2
    assert numbers() is not first


def test_who_asks_while_figures_are_made_has_the_old_ones_at_once():
    store = Memory([pair(0)], {0: [1.0]}, overlap=1)
    numbers = StudyNumbers(store, (), QUICK, clock=lambda: 0.0)
    first = numbers()
    numbers._again = 0.0
    store.event += 1
    labels, begun, end = store.labels, threading.Event(), threading.Event()

    def held():
        begun.set()
        assert end.wait(10)
        return labels()

    store.labels = held
    made = []
    thread = threading.Thread(target=lambda: made.append(numbers()))
    thread.start()
    assert begun.wait(10)
    assert numbers() is first
    end.set()
    thread.join()
    assert made[0] is not first
    assert numbers() is made[0]


def test_the_win_rate_so_far_is_unbiased_while_needed_tasks_come_first():
    """A fifth of the tasks is disputed: they were answered first, and mostly by two; of them 30 % are won."""
    rng = np.random.default_rng(2)
    off, all_off = [], []
    for _ in range(40):
        disputed = rng.random(120) < 0.2
        chance = np.where(disputed, 0.3, 0.8)
        orders = rng.permutation(120).tolist()
        reached = {number for number in range(120) if orders[number] < 50}
        votes = {}
        for number in range(120):
            if disputed[number] or number in reached:
                people = 2 if disputed[number] or rng.random() < 0.3 else 1
                votes[number] = (rng.random(people) < chance[number]).astype(float).tolist()
        first_open = min(orders[number] for number in range(120) if number not in votes)
        store = Memory([pair(number) for number in range(120)], votes, orders)
        (found,) = figures(store, precision=Precision(bootstrap=1)).compared
        assert found.measured == first_open
        off.append(found.rate.mean - chance.mean())
        all_off.append(np.mean([np.mean(told) for told in votes.values()]) - chance.mean())
    assert abs(np.mean(off)) < 3 * np.std(off, ddof=1) / math.sqrt(len(off)) < 0.05
    assert np.mean(all_off) < -0.05
