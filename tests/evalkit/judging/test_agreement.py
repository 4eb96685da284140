import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from evalkit.cli import main

PANDALM = Path(__file__).parents[3] / ".." / "shared" / "data" / "pandalm"
TURNED = {"first": "second", "second": "first", "tie": "tie", None: None}


def verdict(item, winner, judge="j", **more):
    row = {"id": str(item), "prompt": f"prompt {item}", "first": "A says", "second": "B says"}
    row |= {"first_system": "A", "second_system": "B", "judge": judge, "winner": winner}
    return row | ({} if winner else {"reason": "refused"}) | more


def turned(row):
    """The same verdict, told from the other side."""
    other = dict(row, winner=TURNED[row["winner"]], first=row["second"], second=row["first"])
    return other | {"first_system": row["second_system"], "second_system": row["first_system"]}


def agree(tmp_path, verdicts, *options):
    main(
        ["agreement", "--verdicts", verdicts, "--out", str(tmp_path / "out"), "--bootstrap", "200", *options]
    )
    return json.loads((tmp_path / "out" / "agreement.json").read_text(encoding="utf-8"))


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["agreement", *arguments])
    message = capsys.readouterr().err
    assert stop.value.code == 2
    assert message.count("\n") == 1
    return message


def values(report, kind, coefficient, metric="nominal"):
    return {
        (row["first"], row["second"]): row["value"]
        for row in report["coefficients"]
        if (row["of"], row["coefficient"], row["metric"]) == (kind, coefficient, metric)
    }


def test_pandalm_s_published_agreement_through_the_command(write_rows, tmp_path):
    if not PANDALM.exists():
        pytest.skip("needs ../shared/data/pandalm")
    rows = []
    for item in json.loads((PANDALM / "testset-v1.json").read_text(encoding="utf-8")):
        for number in (1, 2, 3):
            winner = ("tie", "first", "second")[item[f"annotator{number}"]]
            one, other = item["cmp_key"].split("_", 1)
            names = {"first_system": one, "second_system": other}
            row = verdict(item["idx"], winner, f"annotator {number}", prompt=item["instruction"], **names)
            rows.append(turned(row) if number == 2 else row)  # whoever is told first, it is the same
    report = agree(tmp_path, write_rows("people.jsonl", rows), "--shown", "20")
    kappas = values(report, "two judges", "cohen")
    assert list(kappas) == [
        ("annotator 1", "annotator 2"), ("annotator 1", "annotator 3"), ("annotator 2", "annotator 3")
    ]  # fmt: skip
    assert list(kappas.values()) == pytest.approx([0.8520, 0.8789, 0.8617], abs=5e-5)
    assert values(report, "all judges", "fleiss")["", ""] == pytest.approx(0.864175, abs=5e-7)
    assert values(report, "all judges", "krippendorff")["", ""] == pytest.approx(0.864221, abs=5e-7)
    (axis,) = report["axes"]
    assert [one["comparisons"] for one in axis["judges"]] == [999, 999, 999]
    all_rows = [row for row in report["coefficients"] if row["of"] == "all judges"]
    assert all(row["low"] < row["value"] < row["high"] for row in all_rows)


def test_two_judges_worked_by_hand(write_rows, tmp_path, capsys):
    # 20 comparisons: both first 8, both second 4, first against second 3, first against tie 5.
    labels = [("first", "first")] * 8 + [("second", "second")] * 4
    labels += [("first", "second")] * 3 + [("first", "tie")] * 5
    people = [verdict(n, one, "people") for n, (one, _) in enumerate(labels)]
    model = [verdict(n, other, "model") for n, (_, other) in enumerate(labels)]
    report = agree(tmp_path, f"[{write_rows('a.jsonl', people)},{write_rows('b.jsonl', model)}]")
    pair = ("model", "people")
    assert values(report, "two judges", "percent")[pair] == pytest.approx(0.6)
    chance = (16 * 8 + 4 * 7) / 400
    assert values(report, "two judges", "cohen")[pair] == pytest.approx((0.6 - chance) / (1 - chance))
    expected = cohen_kappa_score([one for one, _ in labels], [other for _, other in labels])
    assert values(report, "two judges", "cohen")[pair] == pytest.approx(expected)
    (axis,) = report["axes"]
    (counted,) = axis["labels"]
    assert counted["order"] == ["second", "tie", "first"]
    assert counted["counts"] == [[4, 0, 3], [0, 0, 5], [0, 0, 8]]
    assert counted["opposite"] == pytest.approx(3 / 20)
    assert "model and people agree on 60.0% of 20 comparisons" in capsys.readouterr().out
    with (tmp_path / "out" / "agreement.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["coefficient"] for row in rows if row["of"] == "two judges"] == ["percent", "cohen"]


def test_ordinal_alpha_takes_a_tie_for_the_middle(write_rows, tmp_path):
    base = ["first", "second"] * 6
    for name, other in (("near", "tie"), ("far", "second")):
        given = [other if n in (0, 2) else winner for n, winner in enumerate(base)]
        rows = [verdict(n, one, "x") for n, one in enumerate(base)]
        rows += [verdict(n, one, "y") for n, one in enumerate(given)]
        report = agree(tmp_path / name, write_rows(f"{name}.jsonl", rows))
        nominal = values(report, "all judges", "krippendorff")["", ""]
        ordinal = values(report, "all judges", "krippendorff", "ordinal")["", ""]
        assert ordinal > nominal + 0.05 if name == "near" else ordinal == pytest.approx(nominal)


def test_both_orders_make_one_label_and_disagreement_a_tie(write_rows, tmp_path):
    both = [
        ("first", "first", "first"), ("second", "second", "second"), ("first", "second", "tie"),
        ("tie", "first", "tie"), ("first", None, None), ("tie", "tie", "tie"),
    ]  # fmt: skip
    rows = []
    for n, (given, swapped, label) in enumerate(both):
        rows += [verdict(n, given, "orders"), verdict(n, swapped, "orders", swapped=True)]
        rows.append(verdict(n, label or "first", "known"))
    report = agree(tmp_path, write_rows("orders.jsonl", rows))
    assert values(report, "two judges", "percent") == {("known", "orders"): 1.0}
    (axis,) = report["axes"]
    orders = next(one for one in axis["judges"] if one["judge"] == "orders")
    assert (orders["comparisons"], orders["without_label"]) == (5, 1)
    assert orders["missing_verdicts"] == {"refused": 1}
    # Of five comparisons with both orders three say the same.
    assert values(report, "sides exchanged", "percent") == {("orders", "orders"): pytest.approx(0.6)}


def test_repetitions_vote_and_tell_how_a_judge_agrees_with_itself(write_rows, tmp_path):
    three = [("first", "first", "second", "first"), ("first", "second", "tie", "tie"), ("tie",) * 4]
    rows = []
    for n, (*given, label) in enumerate(three):
        rows += [verdict(n, winner, "fickle", repeat=at) for at, winner in enumerate(given)]
        rows.append(verdict(n, label, "known"))
    report = agree(tmp_path, write_rows("repeats.jsonl", rows))
    assert values(report, "two judges", "percent") == {("fickle", "known"): 1.0}
    # Pairs of repetitions that agree: one of three, none, three.
    assert values(report, "asked again", "percent") == {("fickle", "fickle"): pytest.approx(4 / 9)}


def test_a_judge_s_runs_are_raters_of_their_own_and_its_shares_are_one(write_rows, tmp_path):
    first = [verdict(n, "first" if n % 2 else "tie", "same") for n in range(8)]
    again = write_rows("again.jsonl", [verdict(n, "first", "same") for n in range(8)])
    report = agree(tmp_path / "runs", f"[{write_rows('once.jsonl', first)},{again}]")
    assert values(report, "two judges", "percent") == {("same (again.jsonl)", "same (once.jsonl)"): 0.5}
    parts = [write_rows(f"{name}.jsonl", rows) for name, rows in (("low", first[:4]), ("high", first[4:]))]
    people = write_rows("people.jsonl", [dict(row, judge="") for row in first])
    report = agree(tmp_path / "shares", f"[{','.join(parts)},{people}]")
    assert values(report, "two judges", "percent") == {("people.jsonl", "same"): 1.0}


def test_each_judge_is_held_against_the_majority_of_the_rest(write_rows, tmp_path):
    generator = np.random.default_rng(0)
    truth = generator.choice(["first", "second"], 60)
    rows = []
    for judge, errors in (("sure", 0.05), ("sound", 0.1), ("also", 0.1), ("guess", 0.5)):
        wrong = generator.random(60) < errors
        labels = [TURNED[one] if miss else one for one, miss in zip(truth.tolist(), wrong, strict=True)]
        rows += [verdict(n, label, judge) for n, label in enumerate(labels)]
    report = agree(tmp_path, write_rows("jury.jsonl", rows))
    rest = {first: value for (first, _), value in values(report, "judge and rest", "cohen").items()}
    assert min(rest, key=rest.get) == "guess"
    assert min(value for name, value in rest.items() if name != "guess") > 0.6
    assert len(values(report, "two judges", "cohen")) == 6


def made_of(item, name, votes):
    """A majority's verdict, and behind it those that it was made of."""
    winners = [winner for _, winner in votes]
    winner = max(winners, key=winners.count) if len(set(winners)) < len(winners) else "tie"
    told = [
        {"judge": judge, "winner": one, "preference": None, "reason": "", "detail": "", "reply": ""}
        | {"usage": {}, "swapped": None}
        for judge, one in votes
    ]
    own = [verdict(item, one, judge) for judge, one in votes]
    return [verdict(item, winner, name, reply=json.dumps(told)), *own]


def test_votes_count_once_where_a_majority_stands_beside_its_members(write_rows, tmp_path, capsys):
    generator = np.random.default_rng(3)
    rows, alone = [], []
    for n in range(40):
        votes = [(judge, str(generator.choice(["first", "second"]))) for judge in ("ann", "bob", "cleo")]
        both = [*made_of(n, "people", votes), verdict(n, str(generator.choice(["first", "second"])), "model")]
        rows += both
        alone += [row for row in both if row["judge"] != "people"]
    report = agree(tmp_path / "with", write_rows("with.jsonl", rows))
    without = agree(tmp_path / "without", write_rows("without.jsonl", alone))
    for kind, coefficient in (("all judges", "krippendorff"), ("judge and rest", "cohen")):
        assert values(report, kind, coefficient) == values(without, kind, coefficient)
    pairs = values(report, "two judges", "cohen")
    # What most people say is still held against who is not one of them.
    assert pairs.keys() == values(without, "two judges", "cohen").keys() | {("model", "people")}
    assert report["notes"] == [
        "people is made of the votes of ann, bob and cleo: it is held against others only."
    ]
    assert "4 judges: Krippendorff's alpha" in capsys.readouterr().out


def test_a_majority_of_one_is_not_held_against_itself(write_rows, tmp_path, capsys):
    rows = [row for n in range(4) for row in made_of(n, "people", [("ann", "first")])]
    message = refused(capsys, "--verdicts", write_rows("one.jsonl", rows), "--out", str(tmp_path / "out"))
    assert "people is made of the votes of ann" in message
    # Two who never met, and a model that both met: no alpha of all without a comparison of two's.
    rows = made_of(0, "people", [("ann", "first")]) + made_of(1, "people", [("bob", "second")])
    rows += [verdict(2, "first", "model"), verdict(3, "first", "people"), verdict(3, "first", "model")]
    report = agree(tmp_path, write_rows("apart.jsonl", rows))
    assert values(report, "two judges", "percent") == {("model", "people"): 1.0}
    assert values(report, "all judges", "krippendorff") == {}


def test_axes_are_apart_and_one_with_a_single_judge_is_named(write_rows, tmp_path, capsys):
    rows = [
        verdict(n, "first" if n % 3 else "second", judge, axis="helpful") for n in range(9) for judge in "ab"
    ]
    rows += [verdict(n, "first", "a", axis="harmless") for n in range(9)]
    report = agree(tmp_path, write_rows("axes.jsonl", rows))
    assert [axis["axis"] for axis in report["axes"]] == ["helpful"]
    assert report["notes"] == ["harmless: no comparison was judged by two judges; there are verdicts of a."]
    assert "harmless: no comparison" in capsys.readouterr().out


def test_what_is_undefined_is_said_to_be(write_rows, tmp_path, capsys):
    rows = [verdict(n, "tie", judge) for n in range(5) for judge in ("one", "other")]
    report = agree(tmp_path, write_rows("ties.jsonl", rows))
    assert values(report, "two judges", "percent") == {("one", "other"): 1.0}
    assert values(report, "two judges", "cohen") == {("one", "other"): None}
    (axis,) = report["axes"]
    assert set(axis["undefined"]) == {
        "Fleiss' kappa", "Krippendorff's alpha, nominal", "Krippendorff's alpha, ordinal"
    }  # fmt: skip
    assert "undefined: all labels are the same" in capsys.readouterr().out
    assert "undefined" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_fleiss_needs_every_judge_and_alpha_does_not(write_rows, tmp_path):
    rows = [verdict(n, "first" if n % 2 else "second", judge) for n in range(4) for judge in "ab"]
    rows += [verdict(n, "first" if n % 2 else "second", judge) for n in range(4, 8) for judge in "bc"]
    report = agree(tmp_path, write_rows("shares.jsonl", rows))
    (axis,) = report["axes"]
    assert axis["undefined"] == {"Fleiss' kappa": "no comparison has a label of every judge"}
    assert values(report, "all judges", "krippendorff")["", ""] == 1.0
    assert list(values(report, "two judges", "cohen")) == [("a", "b"), ("b", "c")]


def test_the_page_is_self_contained_and_shows_hostile_names_as_text(write_rows, tmp_path):
    hostile = "<img src=x onerror=alert(1)>"
    rows = [verdict(n, ("first", "tie")[n % 2], judge) for n in range(6) for judge in (hostile, "b")]
    agree(tmp_path, write_rows("hostile.jsonl", rows))
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert hostile not in page
    assert "&lt;img src=x" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert (tmp_path / "out" / "agreement.png").stat().st_size > 10_000


def test_the_same_command_gives_the_same_bytes(write_rows, tmp_path):
    generator = np.random.default_rng(1)
    winners = generator.choice(["first", "second", "tie"], (30, 3))
    rows = [verdict(n, str(winners[n, at]), judge) for n in range(30) for at, judge in enumerate("abc")]
    verdicts = write_rows("random.jsonl", rows)
    agree(tmp_path, verdicts)
    names = ("agreement.csv", "agreement.json")
    before = [(tmp_path / "out" / name).read_bytes() for name in names]
    agree(tmp_path, verdicts, "--overwrite", "true")
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == before


ONE = [verdict(n, "first") for n in range(3)]


ELSEWHERE = [verdict(n, "first", "k") for n in range(5, 8)]
SILENT = [verdict(n, None, "k") for n in range(3)]


@pytest.mark.parametrize(
    ("files", "options", "words"),
    [
        ([ONE], [], "agreement needs two judges or more, and .* holds verdicts of one, j"),
        (
            [ONE, ELSEWHERE],
            [],
            "no comparison was judged by two of j and k",
        ),
        ([ONE, SILENT], [], "no comparison was judged by two of j and k"),
        ([[{"prompt": "p", "response": "r"}]], [], "not a file of verdicts"),
        (
            [[verdict(n, "first", judge) for n in range(3) for judge in "ab"]],
            ["--level", "0"],
            "level is between",
        ),
    ],
)
def test_bad_input_is_one_line(write_rows, tmp_path, capsys, files, options, words):
    names = [write_rows(f"{at}.jsonl", rows) for at, rows in enumerate(files)]
    message = refused(capsys, "--verdicts", f"[{','.join(names)}]", "--out", str(tmp_path / "out"), *options)
    assert re.search(words, message)
    assert not (tmp_path / "out").exists()


def test_missing_and_repeated_files_are_one_line(write_rows, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert "no such file" in refused(capsys, "--verdicts", str(tmp_path / "no.jsonl"), "--out", out)
    one = write_rows("one.jsonl", ONE)
    assert "several different ones" in refused(capsys, "--verdicts", f"[{one},{one}]", "--out", out)
