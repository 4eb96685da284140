import pytest

from judges.human.answers import PairwiseAnswer
from judges.human.judge import HumanJudge, load_human_judge
from judges.human.labels import Label
from judges.human.store import Store
from judges.human.study import Study
from judges.human.tasks import comparison_task
from judges.judge import Comparison, Verdict, ask_both_orders, load_judge
from judges.verdicts.annotation import ORDER
from judges.verdicts.members import member_verdicts
from judges.verdicts.reading import read_verdicts, verdict_row
from rewards.errors import SpecError
from rewards.files import write_rows
from rewards.specs import Spec
from tests.judges.human.labelled_store import label_all

EXTRA = {"first_system": "S", "second_system": "T"}
COMPARISON = Comparison("q", "a", "bb", "1", EXTRA)


def says(response):
    """Return a person who prefers a response whichever side it is on; `tie` and None are said as such."""

    def answer(task):
        if response is None:
            return None
        sides = {task.responses[0]: "first", task.responses[1]: "second"}
        return PairwiseAnswer(sides.get(response, "tie"))

    return answer


def labelled(folder, people, comparisons=(COMPARISON,)):
    label_all(folder / "l.db", people, [comparison_task(one) for one in comparisons])
    return HumanJudge(str(folder / "l.db"))


def test_what_nobody_answered_waits_and_is_put_to_people(tmp_path):
    judge = HumanJudge(str(tmp_path / "l.db"), axis="kind", repeat=1)
    other = Comparison("p", "c", "d")
    verdicts = judge.compare([COMPARISON, other, COMPARISON.swap()])
    assert [one.comparison.first for one in verdicts] == ["a", "c", "bb"]
    assert {(one.winner, one.preference, one.reason) for one in verdicts} == {(None, None, "skipped")}
    assert {one.detail for one in verdicts} == {"waits for people: 0 of 1 answers"}
    assert {(one.judge, one.axis, one.repeat) for one in verdicts} == {(f"human:{tmp_path}/l.db", "kind", 1)}
    assert all(member_verdicts(one) == [] for one in verdicts)
    with Store(judge.url) as store:
        tasks = [task for _, task in store.tasks()]
    assert [(task.responses, task.axis, task.repeat) for task in tasks] == [
        (("a", "bb"), "kind", 1), (("c", "d"), "kind", 1),
    ]  # fmt: skip
    assert tasks[0].systems == ("S", "T")


@pytest.mark.parametrize(
    ("votes", "winner", "preference"),
    [
        (["a"], "first", None),
        (["tie"], "tie", None),
        (["bb", None], "second", None),
        (["a", "a"], "first", 1.0),
        (["a", "bb"], "tie", 0.5),
        (["a", "tie"], "tie", 0.75),
        (["a", "a", "bb"], "first", 2 / 3),
        (["bb", "tie", "bb", None], "second", 1 / 6),
        (["a", "bb", "tie"], "tie", 0.5),
        (["a", "a", "bb", "bb"], "tie", 0.5),
    ],
)
def test_more_than_half_of_those_who_answer_decide(votes, winner, preference, tmp_path):
    people = {f"p{number}": says(vote) for number, vote in enumerate(votes)}
    judge = labelled(tmp_path, people)
    (given, swapped) = judge.compare([COMPARISON, COMPARISON.swap()])
    expected = Verdict(COMPARISON, winner, preference)
    assert given.winner == winner
    assert given.preference == (None if preference is None else pytest.approx(preference))
    assert (swapped.winner, swapped.comparison.first) == (expected.swap().winner, "bb")
    assert swapped.preference == (None if preference is None else pytest.approx(1 - preference))
    # Whose side was where is each person's own, and no order of the majority's.
    assert given.comparison.extra[ORDER] == "unknown"
    assert not given.swapped


def test_who_breaks_a_tie_decides_and_does_not_lean_the_share(tmp_path):
    judge = labelled(tmp_path, {"ann": says("a"), "bo": says("bb"), "cy": says("a")})
    judge.store.set_study(Study(overlap=2, tiebreak=1))
    (verdict,) = judge.compare([COMPARISON])
    assert (verdict.winner, verdict.preference) == ("first", 0.5)
    assert len(member_verdicts(verdict)) == 3


def test_each_person_s_own_verdict_stands_in_everybody_s(tmp_path):
    people = {f"p{number}": says("bb" if number % 3 else None) for number in range(6)}
    judge = labelled(tmp_path, people)
    (verdict,) = judge.compare([COMPARISON.swap()])
    write_rows(tmp_path / "v.jsonl", [verdict_row(verdict)])
    (read,) = read_verdicts(tmp_path / "v.jsonl")
    with Store(judge.url) as store:
        shown = {label.annotator: label.shown for label in store.labels()}
    assert len(set(shown.values())) == 2
    for members in (member_verdicts(verdict), member_verdicts(read)):
        assert [one.judge for one in members] == [f"human:p{number}" for number in range(6)]
        assert [one.winner for one in members] == [None, "first", "first"] * 2
        assert [one.reason for one in members] == ["skipped", "", ""] * 2
        # Told from the other side, those who were shown the task's first saw this one's second.
        assert [one.swapped for one in members] == [shown[f"p{number}"] == (0, 1) for number in range(6)]
        assert all(ORDER not in one.comparison.extra for one in members)
        assert members[1].usage.latency == 1.0
    back = [one.swap() for one in member_verdicts(verdict.swap())]
    assert [(one.winner, one.swapped) for one in back] == [
        (one.winner, one.swapped) for one in member_verdicts(verdict)
    ]


def test_an_order_that_nobody_knows_stays_unknown(tmp_path):
    task = comparison_task(COMPARISON)
    label = Label(0, task, "ann", PairwiseAnswer("first"), (), "", 0.0, 5.0, "n", True)
    with Store(str(tmp_path / "l.db")) as store:
        store.import_labels([label])
    (verdict,) = HumanJudge(str(tmp_path / "l.db")).compare([COMPARISON])
    (member,) = member_verdicts(verdict)
    assert (member.winner, member.comparison.extra[ORDER]) == ("first", "unknown")
    assert member.usage.latency is None


def test_both_orders_are_one_question_and_one_verdict(tmp_path):
    judge = labelled(tmp_path, {"ann": says("bb")}, [COMPARISON])
    ((given, swapped),) = ask_both_orders(judge, [COMPARISON])
    assert (given.winner, swapped.winner) == ("second", "second")
    label_all(tmp_path / "l.db", {"ann": says("a")})
    with Store(judge.url) as store:
        assert [label.answer for label in store.labels()] == [PairwiseAnswer("second")]


def test_answers_so_far_count_and_skips_are_told(tmp_path):
    label_all(tmp_path / "l.db", {"ann": says(None)}, [comparison_task(COMPARISON)], overlap=3)
    judge = HumanJudge(str(tmp_path / "l.db"))
    assert judge.compare([COMPARISON])[0].detail == "waits for people: 0 of 3 answers, 1 skipped it"
    label_all(tmp_path / "l.db", {"bo": says("a")}, overlap=3)
    assert judge.compare([COMPARISON])[0].winner == "first"


def test_one_person_s_verdicts(tmp_path):
    labelled(tmp_path, {"ann": says("a"), "bo": says("bb")})
    spec = f"human:{tmp_path}/l.db?annotator="
    verdicts = {name: load_judge(spec + name).compare([COMPARISON])[0] for name in ("ann", "bo", "cy")}
    told = {name: (one.winner, one.preference, one.judge) for name, one in verdicts.items()}
    assert told == {
        "ann": ("first", None, "human:ann"),
        "bo": ("second", None, "human:bo"),
        "cy": (None, None, "human:cy"),
    }
    assert verdicts["cy"].detail == "waits for people: cy has not answered"
    with Store(f"{tmp_path}/l.db") as store:
        assert {one.annotator: one.shown == (1, 0) for one in store.labels()} == {
            name: verdicts[name].swapped for name in ("ann", "bo")
        }


def test_people_sit_in_a_jury(tmp_path):
    other = Comparison("p", "c", "dd", "2")
    labelled(tmp_path, {"ann": says("a"), "bo": says("a")})
    jury = load_judge(f"jury:human:{tmp_path}/l.db,reward:rule:length?quorum=1")
    answered, waiting = jury.compare([COMPARISON, other])
    assert [(one.judge, one.winner) for one in member_verdicts(answered)] == [
        (f"human:{tmp_path}/l.db", "first"), ("reward:rule:length", "second"),
    ]  # fmt: skip
    assert answered.winner == "tie"
    assert [one.winner for one in member_verdicts(member_verdicts(answered)[0])] == ["first", "first"]
    assert waiting.winner == "second"
    with Store(f"{tmp_path}/l.db") as store:
        assert len(list(store.tasks())) == 2


def test_the_specification_is_read_whole():
    options = {"annotator": "human:ann", "axis": "overall", "repeat": "2"}
    spec = Spec("human:x", "human", "postgresql://ann:secret@localhost/labels?sslmode=require", options)
    judge = load_human_judge(spec)
    assert judge == HumanJudge("postgresql://ann:secret@localhost/labels?sslmode=require", "ann", "", 2)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("human:", "name a database of labels"),
        ("human:l.db?axes=x", "unknown option 'axes'.*percent-encoded, . as %3F"),
        ("human:l.db?repeat=0.5", "repeat is a whole number from 0, got '0.5'"),
        ("human:l.db?repeat=-1", "repeat is a whole number from 0"),
    ],
)
def test_a_bad_specification_is_told(spec, told):
    with pytest.raises(SpecError, match=told):
        load_judge(spec)


def test_a_password_is_in_no_name(monkeypatch):
    from judges.human.database import connection as store_database

    monkeypatch.setattr(store_database.Database, "_open", lambda *_: None)
    judge = HumanJudge("postgresql://ann:secret@localhost/labels")
    assert judge.name == "human:postgresql+psycopg://ann:***@localhost/labels"
