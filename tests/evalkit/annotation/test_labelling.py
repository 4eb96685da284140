import json
import shutil
import stat
from collections import Counter
from pathlib import Path

import pytest

from evalkit.cli import main
from judges.human.answers import BestAnswer, PairwiseAnswer, RankingAnswer, SpansAnswer, StepsAnswer
from judges.human.labels import Posted
from judges.human.rows.reading import Reading, read_tasks
from judges.human.store import Store
from judges.human.study import Study
from rewards.files import preference, ranking, read_rows, span_labels, step_labels, write_rows
from rewards.records import Span
from tests.judges.human.labelled_store import label_all

HOSTILE = "<script>é\u2028\x00‮ 😀"


def run(*arguments):
    main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


def rows(path):
    return [row.values for row in read_rows(path)]


def tasks(folder, screen, given, aspects=()):
    write_rows(folder / "data.jsonl", given, overwrite=True)
    return list(read_tasks(folder / "data.jsonl", Reading(screen, aspects=aspects)))


def always(winner):
    return lambda _: PairwiseAnswer(winner)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with 20 comparisons of S and T and a check: ann and bo say first, cy mostly second."""
    folder = tmp_path_factory.mktemp("world")
    given = [
        {
            "id": f"{number}",
            "prompt": f"Question {number}{HOSTILE}",
            "first": f"good {number}{HOSTILE}",
            "second": f"bad {number}",
            "first_system": "S",
            "second_system": "T",
            "source": {"of": [number, HOSTILE]},
        }
        for number in range(20)
    ]
    given.append({"prompt": "Which is 4?", "first": "4", "second": "5", "gold": "first"})

    def cy(task):
        return {"8": None, "9": PairwiseAnswer("tie")}.get(task.id[-1:], PairwiseAnswer("second"))

    people = {"ann": always("first"), "bo": always("first"), "cy": cy}
    label_all(folder / "a.db", people, tasks(folder, "pairwise", given))
    return folder


@pytest.fixture(autouse=True)
def here(world, tmp_path, monkeypatch):
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_labels_carried_elsewhere_and_back_are_the_same_bytes(capsys):
    run("labels", "export", "--db", "a.db", "--out", "a.jsonl")
    assert "63 labels\n" in capsys.readouterr().out  # 20 comparisons and a check, of 3 people
    run("labels", "import", "--data", "a.jsonl", "--db", "b.db")
    assert "63 labels added, 0 were there already" in capsys.readouterr().out
    run("labels", "export", "--db", "b.db", "--out", "b.jsonl")
    assert Path("b.jsonl").read_bytes() == Path("a.jsonl").read_bytes()
    for target in ("a.db", "b.db"):
        run("labels", "import", "--data", "a.jsonl", "--db", target)
        assert "0 labels added, 63 were there already" in capsys.readouterr().out
    with Store("b.db") as store:
        assert [one.name for one in store.annotators()] == ["ann", "bo", "cy"]
        assert sum(task.gold is not None for _, task in store.tasks()) == 1
        assert len(list(store.events())) == 63


def test_a_fair_sample_leaves_out_what_was_brought_forward(here, capsys):
    given = [{"id": f"{n}", "prompt": f"q{n}", "first": "a", "second": "b"} for n in range(8)]
    with Store("fair.db") as store:
        store.add_tasks(tasks(here, "pairwise", given))
        order = [state.id for state in sorted(store.task_states(), key=lambda state: state.order)]
        store.prioritise([(order[5], 1.0)])
        names = [task.id for _, task in sorted(store.tasks(), key=lambda one: order.index(one[0]))]
        people = {name: store.invite(name).annotator for name in ("ann", "bo", "cy")}

        def act(name, kind):
            given = store.next_task(people[name])
            said = {"winner": "tie"} if kind == "answer" else None
            store.record(people[name], given.handle, Posted(kind, f"{name}-{given.task_id}", said))

        for needed_every, overlap, deeds in (
            (1, 1, [("ann", "answer")]),
            (0, 1, [("ann", "answer"), ("bo", "skip"), ("cy", "answer"), ("ann", "answer")]),
            (0, 2, [("bo", "answer")]),
            (1, 1, []),
        ):
            store.set_study(Study(needed_every=needed_every, overlap=overlap))
            for name, kind in deeds:
                act(name, kind)
    export = ("labels", "export", "--db", "fair.db", "--form", "verdicts", "--out")
    run(*export, "all.jsonl")
    assert "lean to what was brought forward" in capsys.readouterr().out
    assert names[5] in {row["id"] for row in rows("all.jsonl")}
    run(*export, "fair.jsonl", "--fair", "true")
    told = capsys.readouterr().out
    assert "2 left out: outside the fair sample" in told  # what was brought forward, and a second answer
    assert "lean" not in told
    answered = {(names[0], "human:ann", "tie"), (names[1], "human:cy", "tie"), (names[2], "human:ann", "tie")}
    found = {(row["id"], row["judge"], row["winner"]) for row in rows("fair.jsonl")}
    assert found == answered | {(names[1], "human:bo", None)}


def test_a_tie_that_was_broken_leans_an_export_and_no_fair_one(here, capsys):
    given = [{"id": "1", "prompt": "q", "first": "a", "second": "b"}]
    people = {"ann": always("first"), "bo": always("second"), "cy": always("first")}
    label_all(here / "tie.db", people, tasks(here, "pairwise", given))
    export = ("labels", "export", "--db", "tie.db", "--form", "verdicts", "--out")
    run(*export, "three.jsonl")  # who were all to answer it
    assert "lean" not in capsys.readouterr().out
    with Store("tie.db") as store:
        store.set_study(Study(overlap=2, tiebreak=1))
    run(*export, "all.jsonl")
    assert "asked again to break ties" in capsys.readouterr().out
    run(*export, "two.jsonl", "--fair", "true")
    assert [row["winner"] for row in rows("two.jsonl")] == ["first", "second"]


def test_what_is_there_is_never_replaced(capsys):
    run("labels", "export", "--db", "a.db", "--out", "a.jsonl")
    changed = [
        row | {"nonce": f"other-{row['nonce']}", "answer": {"winner": "second"}} for row in rows("a.jsonl")
    ]
    changed.append(changed[0] | {"annotator": "new"})
    write_rows("changed.jsonl", changed)
    run("labels", "import", "--data", "changed.jsonl", "--db", "a.db")
    out = capsys.readouterr().out
    assert "1 labels added, 0 were there already" in out
    assert "63 not added: a label of that person stands on that task already, and stays" in out
    run("labels", "export", "--db", "a.db", "--out", "after.jsonl", "--annotators", "[ann,bo,cy]")
    assert Path("after.jsonl").read_bytes() == Path("a.jsonl").read_bytes()


def test_verdicts_go_through_the_statistics_of_any_judge(capsys):
    run("labels", "export", "--db", "a.db", "--out", "v.jsonl", "--form", "verdicts")
    out = capsys.readouterr().out
    assert "60 verdicts of 60 labels" in out
    assert "3 left out: of planted checks, which --gold true takes too" in out
    run("winrate", "--verdicts", "v.jsonl", "--out", "w", "--bootstrap", "50")
    found = {one["judge"]: one for one in json.loads(Path("w/winrate.json").read_text())["results"]}
    means = {judge: one["win_rate"]["mean"] for judge, one in found.items()}
    # cy skips 2 of 20, ties 2 and says second of 16.
    assert means == {"human:ann": 1.0, "human:bo": 1.0, "human:cy": pytest.approx(1 / 18)}
    run("agreement", "--verdicts", "v.jsonl", "--out", "g", "--bootstrap", "50")
    found = json.loads(Path("g/agreement.json").read_text())["coefficients"]
    percent = [one for one in found if one["coefficient"] == "percent" and one["of"] == "two judges"]
    agree = {(one["first"], one["second"]): one["value"] for one in percent}
    assert agree["human:ann", "human:bo"] == 1.0
    assert agree["human:ann", "human:cy"] == 0.0


def test_verdicts_from_elsewhere_come_in_once(capsys):
    run("labels", "export", "--db", "a.db", "--out", "v.jsonl", "--form", "verdicts", "--annotators", "[cy]")
    machine = [row | {"judge": "openai:m"} for row in rows("v.jsonl")[:2]]
    write_rows("mixed.jsonl", [*rows("v.jsonl"), *machine])
    for added, known in ((20, 0), (0, 20)):
        run("labels", "import", "--data", "mixed.jsonl", "--db", "b.db")
        out = capsys.readouterr().out
        assert f"{added} labels added, {known} were there already" in out
        assert "2 passed over: verdicts of openai:m, which is no person" in out
    run("labels", "export", "--db", "b.db", "--out", "back.jsonl", "--form", "verdicts")
    assert rows("back.jsonl") == rows("v.jsonl")


def test_swapped_copies_of_a_task_are_labels_on_it(capsys):
    run("labels", "export", "--db", "a.db", "--out", "a.jsonl", "--annotators", "[ann]")
    told = rows("a.jsonl")
    for row in told:
        task = row["task"]
        for name in ("responses", "systems"):
            task[name] = task[name][::-1]
        task["gold"] = task["gold"] and {"winner": "second"}
        row |= {"annotator": "di", "answer": {"winner": "second"}, "shown": [1 - n for n in row["shown"]]}
    write_rows("turned.jsonl", told)
    run("labels", "import", "--data", "turned.jsonl", "--db", "a.db")
    with Store("a.db") as store:
        assert len(list(store.tasks())) == 21
        by_person = {name: {} for name in ("ann", "di")}
        for one in store.labels():
            by_person.get(one.annotator, {})[one.task_id] = (one.answer, one.shown)
    assert by_person["ann"] == by_person["di"]
    assert "21 labels added" in capsys.readouterr().out


def test_preferences_are_read_as_such(capsys):
    run("labels", "export", "--db", "a.db", "--out", "p.jsonl", "--form", "preferences")
    made = [preference(row) for row in read_rows("p.jsonl")]
    assert len(made) == 20
    assert all(one.chosen.startswith("good") and one.extra["chosen_system"] == "S" for one in made)
    run(
        "labels",
        "export",
        "--db",
        "a.db",
        "--out",
        "c.parquet",
        "--form",
        "preferences",
        "--annotators",
        "[cy]",
    )
    out = capsys.readouterr().out
    assert all(f"2 left out: {reason}\n" in out for reason in ("no verdict", "tie"))
    assert [preference(row).extra["chosen_system"] for row in read_rows("c.parquet")] == ["T"] * 16


SCREENS = [
    ("ranking", {"responses": ["a", "b", "c"]}, (), RankingAnswer((2, 1, 2)), "rankings"),
    ("best", {"responses": ["a", "b", "c"]}, (), BestAnswer(1, (3, 5, 1)), "rankings"),
    ("steps", {"completions": ["x\n", "y"]}, (), StepsAnswer(("neutral", "negative")), "steps"),
    ("spans", {"response": "wörd"}, ("bad",), SpansAnswer((Span(1, 3, "bad", 0.0),), ("verbs",)), "spans"),
]


@pytest.mark.parametrize(("screen", "columns", "aspects", "answer", "form"), SCREENS)
def test_each_screen_s_labels_are_read_as_their_record(screen, columns, aspects, answer, form, here):
    given = [{"prompt": f"q{number}", **columns} for number in range(3)]
    label_all(here / "s.db", {"ann": lambda _: answer}, tasks(here, screen, given, aspects))
    run("labels", "export", "--db", "s.db", "--out", "out.jsonl", "--form", form)
    read = list(read_rows("out.jsonl"))
    assert sorted(row.values["prompt"] for row in read) == ["q0", "q1", "q2"]
    if form == "rankings":
        assert {ranking(row).ranks for row in read} == {(2, 1, 2)}
    elif form == "steps":
        assert {step_labels(row).labels for row in read} == {(1.0, 0.0)}
        run("labels", "export", "--db", "s.db", "--out", "none.jsonl", "--form", form, "--neutral", "none")
        assert {step_labels(row).labels for row in read_rows("none.jsonl")} == {(None, 0.0)}
    else:
        assert {span_labels(row).spans for row in read} == {answer.spans}
        assert read[0].values["missing"] == ["verbs"]
    if screen == "best":
        run("labels", "export", "--db", "s.db", "--out", "r.jsonl", "--form", "ratings")
        assert [row["rating"] for row in rows("r.jsonl")[:3]] == [3, 5, 1]
        return
    run("labels", "export", "--db", "s.db", "--out", "each.jsonl", "--form", form, "--each", "true")
    run("labels", "import", "--data", "each.jsonl", "--db", "s.db")
    run("labels", "import", "--data", "each.jsonl", "--db", "t.db")
    with Store("s.db") as first, Store("t.db") as second:
        assert len(list(first.labels())) == 3
        keys = [{(one.task.key, one.annotator) for one in store.labels()} for store in (first, second)]
    assert keys[0] == keys[1]


def test_an_export_with_nothing_in_it_leaves_no_file(here, capsys):
    told = refused(capsys, "labels", "export", "--db", "a.db", "--out", "s.jsonl", "--form", "steps")
    assert told == (
        "evalkit: a.db: nothing to write as steps: 3 left out: of planted checks, which --gold true takes "
        "too; 58 left out: of the screen pairwise, which has no steps; 2 left out: skipped\n"
    )
    Store("empty.db").close()
    told = refused(capsys, "labels", "export", "--db", "empty.db", "--out", "s.jsonl")
    assert "it holds no labels; evalkit annotate --db empty.db asks for them" in told
    assert not list(here.glob("*s.jsonl*"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--db", "none.db", "--out", "o.jsonl"], "none.db: no such store of labels"),
        (["--db", "data.jsonl", "--out", "o.jsonl"], "data.jsonl"),
        (
            ["--db", "a.db", "--out", "o.csv"],
            "o.csv: labels are written to a name that ends in .jsonl, .jsonl.gz",
        ),
        (
            ["--db", "a.db", "--out", "o.parquet"],
            "o.parquet: labels are written to a name that ends in .jsonl",
        ),
        (["--db", "a.db", "--out", "data.jsonl"], "data.jsonl: exists and is finished; --overwrite"),
        (
            ["--db", "a.db", "--out", "o.jsonl", "--annotators", "[zoe]"],
            "no annotator 'zoe'; there are ann, bo, cy",
        ),
        (
            ["--db", "a.db", "--out", "o.jsonl", "--axis", "kind"],
            "nothing to write as labels: 63 left out: on another",
        ),
    ],
)
def test_bad_exports_are_one_line(here, options, told, capsys):
    before = Path("data.jsonl").read_bytes()
    assert told in refused(capsys, "labels", "export", *options)
    assert Path("data.jsonl").read_bytes() == before
    assert not list(here.glob("*o.*"))


def test_a_bad_import_adds_nothing(capsys):
    run("labels", "export", "--db", "a.db", "--out", "a.jsonl")
    broken = rows("a.jsonl")
    broken[40]["answer"] = {"winner": "both"}
    write_rows("broken.jsonl", broken)
    told = refused(capsys, "labels", "import", "--data", "broken.jsonl", "--db", "b.db")
    assert "broken.jsonl:41: field 'answer': winner is one of first, second, tie, got 'both'" in told
    assert not Path("b.db").exists()
    told = refused(capsys, "labels", "import", "--data", "data.jsonl", "--db", "b.db")
    assert "data.jsonl:1: not a file of verdicts" in told
    assert "other labels known are evalkit labels export: task, annotator, answer" in told
    assert "ranking: prompt, responses, ranks" in told
    write_rows("machine.jsonl", [
        {"prompt": "q", "first": "a", "second": "b", "winner": "first", "judge": "openai:m"}
    ])  # fmt: skip
    told = refused(capsys, "labels", "import", "--data", "machine.jsonl", "--db", "b.db")
    assert (
        "machine.jsonl: no labels to import: 1 passed over: verdicts of openai:m, which is no person" in told
    )
    assert "no such file" in refused(capsys, "labels", "import", "--data", "none.jsonl", "--db", "b.db")
    assert not Path("b.db").exists()


def test_links_are_made_once_and_anew(capsys):
    run(
        "labels",
        "invite",
        "--db",
        "a.db",
        "--annotators",
        "[dee,ann]",
        "--address",
        "https://labels.example.org/",
    )
    out = capsys.readouterr().out
    link = next(line for line in out.splitlines() if "dee" in line).split(": ")[1]
    assert link.startswith("https://labels.example.org/sign-in/4.")
    assert "Have a link: ann; --renew true makes new ones" in out
    run(
        "labels", "invite", "--db", "a.db", "--annotators", "[dee]", "--renew", "true", "--links", "links.txt"
    )
    assert "sign-in" not in capsys.readouterr().out
    assert stat.S_IMODE(Path("links.txt").stat().st_mode) == 0o600
    name, renewed = Path("links.txt").read_text().strip().split("\t")
    with Store("a.db") as store:
        old, new = (one.rsplit("/", 1)[1].split(".", 1)[1] for one in (link, renewed))
        assert store.sign_in(4, old) is None
        assert store.sign_in(4, new).name == name == "dee"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--annotators", "[]"], "annotators names nobody"),
        (
            ["--annotators", "[ann,zoe]", "--renew", "true"],
            "no annotator 'zoe' to renew; there are ann, bo, cy",
        ),
        (["--annotators", "[new,'a\tb']"], "an annotator's name is a text"),
        (["--annotators", "[new]", "--address", "nowhere"], "address is like https://labels.example.org"),
        (["--annotators", "[new]", "--links", "data.jsonl"], "data.jsonl: exists"),
    ],
)
def test_bad_invitations_change_nothing(options, told, capsys):
    with Store("a.db") as store:
        before = store.annotators()
    assert told in refused(capsys, "labels", "invite", "--db", "a.db", *options)
    with Store("a.db") as store:
        assert store.annotators() == before


def test_people_judge_two_systems_by_commands_alone(here, capsys):
    for name in ("S", "T"):
        write_rows(f"{name}.jsonl", [{"prompt": f"q{n}", "response": f"{name}{n}"} for n in range(6)])
    judge = [
        "judge",
        "--first",
        "S.jsonl",
        "--second",
        "T.jsonl",
        "--judge",
        "human:l.db",
        "--out",
        "v.jsonl",
    ]
    run(*judge, "--plan", "true")
    assert "6 comparisons would be put to people" in capsys.readouterr().out
    assert not Path("l.db").exists()
    run(*judge)
    out = capsys.readouterr().out
    assert "human:l.db: S 0, T 0, tie 0, missing 6, of 6 verdicts" in out
    assert "6 comparisons wait for people: evalkit annotate --db l.db serves them" in out
    people = {
        "ann": always("first"),
        "bo": lambda task: PairwiseAnswer("second" if task.id == "1" else "first"),
    }
    label_all(here / "l.db", people)
    run(*judge, "--overwrite", "true")
    out = capsys.readouterr().out
    assert "human:l.db: S 5, T 0, tie 1, missing 0, of 6 verdicts" in out
    assert "human:bo: S 5, T 1, tie 0, missing 0, of 6 verdicts" in out
    assert "people are asked once about each comparison" in out
    assert "wait for people" not in out
    told = rows("v.jsonl")
    assert [row["judge"] for row in told[:3]] == ["human:l.db", "human:ann", "human:bo"]
    assert len(told) == 18
    assert {row["swapped"] for row in told if row["judge"] != "human:l.db"} == {True, False}
    run("labels", "import", "--data", "v.jsonl", "--db", "l.db")
    out = capsys.readouterr().out
    assert "12 not added" in out
    assert "6 passed over: verdicts of a majority or a jury" in out


def test_people_in_a_jury_are_told_once_and_each_by_name(here, capsys):
    for name in ("S", "T"):
        given = [{"prompt": f"q{n}", "response": f"{name}{n}" + "x" * (n % 3)} for n in range(6)]
        write_rows(f"{name}.jsonl", given)
    spec = "jury:human:l.db,reward:rule:length?quorum=1"
    judge = [
        "judge",
        "--first",
        "S.jsonl",
        "--second",
        "T.jsonl",
        "--judge",
        spec,
        "--order",
        "both",
        "--out",
    ]
    run(*judge, "v.jsonl")
    people = {"ann": always("first"), "bo": lambda task: PairwiseAnswer("tie" if task.id == "1" else "first")}
    label_all(here / "l.db", people)
    run(*judge, "v.jsonl", "--overwrite", "true")
    capsys.readouterr()
    told = Counter(row["judge"] for row in rows("v.jsonl"))
    assert told == {spec: 12, "reward:rule:length": 12, "human:l.db": 6, "human:ann": 6, "human:bo": 6}
    together = [row for row in rows("v.jsonl") if row["judge"] == "human:l.db"]
    assert {row["order"] for row in together} == {"unknown"}
    run("agreement", "--verdicts", "v.jsonl", "--out", "agreement", "--bootstrap", "50")
    assert "3 judges: Krippendorff's alpha" in capsys.readouterr().out
    report = json.loads(Path("agreement/agreement.json").read_text())
    pairs = {(row["first"], row["second"]) for row in report["coefficients"] if row["of"] == "two judges"}
    assert pairs == {
        ("human:ann", "human:bo"), ("human:ann", "reward:rule:length"), ("human:bo", "reward:rule:length"),
        ("human:l.db", "reward:rule:length"),
    }  # fmt: skip
    run("labels", "import", "--data", "v.jsonl", "--db", "other.db")
    assert "12 labels added" in capsys.readouterr().out
    # In one order they are told whichever that is.
    run(*judge[:-2], "one", "--out", "one.jsonl")
    assert Counter(row["judge"] for row in rows("one.jsonl"))["human:ann"] == 6
