import csv
import gzip
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from evalkit.cli import main
from evalkit.judging.page.gathering import gather_comparisons
from judges.judge import Comparison, Verdict
from judges.verdicts.groups import groups_of, orders_of
from judges.verdicts.reading import verdict_row
from judges.verdicts.table import make_table, read_table

DATA = Path(__file__).parents[3] / ".." / "shared" / "data" / "alpaca_eval"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="../shared/data/alpaca_eval is not here")


def verdict(prompt, winner, swapped=False, judge="j", systems=("a", "b"), **more):
    comparison = Comparison(
        prompt, more.pop("first", "x"), more.pop("second", "y y"), more.pop("id", prompt),
        {"first_system": systems[0], "second_system": systems[1]},
    )  # fmt: skip
    reason = "" if winner else "parse_failed"
    return Verdict(comparison, winner, more.pop("preference", None), reason, judge, swapped=swapped, **more)


def write(path, verdicts):
    path.write_text("".join(json.dumps(verdict_row(one)) + "\n" for one in verdicts), encoding="utf-8")
    return path


def winrate(tmp_path, verdicts, *options, out="out"):
    source = write(tmp_path / f"{out}.jsonl", verdicts)
    main(["winrate", "--verdicts", str(source), "--out", str(tmp_path / out), *options])
    return json.loads((tmp_path / out / "winrate.json").read_text())["results"]


def stopped(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.count("\n") == 1
    return error


BOTH = [
    verdict("p1", "first"), verdict("p1", "first", swapped=True),
    verdict("p2", "first"), verdict("p2", "second", swapped=True),
    verdict("p3", "tie"), verdict("p3", "second", swapped=True),
    verdict("p4", "second"), verdict("p4", None, swapped=True),
]  # fmt: skip


def test_figures_worked_by_hand_under_every_tie_policy(tmp_path):
    (found,) = winrate(tmp_path, BOTH)
    assert found["win_rate"]["mean"] == pytest.approx((1 + 1 + 1 + 0 + 0.5 + 0 + 0) / 7)
    assert found["win_rate"]["worst_low"] == pytest.approx(3.5 / 8)
    assert found["win_rate"]["worst_high"] == pytest.approx(4.5 / 8)
    assert found["missing"] == {"parse_failed": 1}
    assert found["position"]["counts"] == {
        "comparisons": 4, "first_wins": 1, "second_wins": 0, "ties": 0, "shown_first": 1, "shown_second": 0,
        "one_tie": 1, "one_order": 1, "missing": 0,
    }  # fmt: skip
    # Shown first won: p1 given, p2 both, p3 tie and then b (shown first): 1 + 0 + 1 + 1 + .5 + 1 + 0 of 7.
    assert found["shown_first"]["mean"] == pytest.approx(4.5 / 7)
    (disagree,) = winrate(tmp_path, BOTH, "--ties", "disagree", out="disagree")
    assert disagree["win_rate"]["mean"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert disagree["win_rate"]["missing"] == 1
    (drop,) = winrate(tmp_path, BOTH, "--ties", "drop", out="drop")
    assert (drop["win_rate"]["mean"], drop["left_out"], drop["win_rate"]["missing"]) == (1.0, 2, 1)


def test_probabilities_count_by_default_and_outcomes_on_request(tmp_path):
    verdicts = [verdict("p", "first", preference=0.9), verdict("q", "first", preference=0.6)]
    assert winrate(tmp_path, verdicts)[0]["win_rate"]["mean"] == pytest.approx(0.75)
    assert winrate(tmp_path, verdicts, "--ties", "half", out="half")[0]["win_rate"]["mean"] == 1.0


def test_the_baseline_is_held_against_and_naming_the_other_mirrors(tmp_path):
    ours = winrate(tmp_path, BOTH, "--baseline", "b")[0]
    theirs = winrate(tmp_path, BOTH, "--baseline", "a", out="mirrored")[0]
    assert (theirs["first"], theirs["second"]) == ("b", "a")
    for ends in (("mean", "mean"), ("low", "high"), ("worst_low", "worst_high")):
        assert theirs["win_rate"][ends[0]] == pytest.approx(1 - ours["win_rate"][ends[1]])
    assert theirs["shown_first"]["mean"] == pytest.approx(ours["shown_first"]["mean"])


def test_judges_and_pairs_of_systems_are_told_apart(tmp_path):
    verdicts = [
        verdict("p", "first"), verdict("p", "second", judge="k"), verdict("p", "first", systems=("c", "b")),
        verdict("q", "first", systems=("b", "a")),
    ]  # fmt: skip
    found = winrate(tmp_path, verdicts)
    assert [(one["first"], one["judge"], one["win_rate"]["n"]) for one in found] == [
        ("a", "j", 2), ("a", "k", 1), ("c", "j", 1),
    ]  # fmt: skip
    assert found[0]["win_rate"]["mean"] == 0.5  # won as first, lost as second


def test_verdicts_of_one_comparison_repeated_lose_none():
    table = make_table([*BOTH, *BOTH, verdict("p1", "tie")])
    (group,) = groups_of(table)
    orders = orders_of(group.table, group.table.outcome)
    assert len(orders.given) == 9
    assert int(orders.both.sum()) == 8
    told = np.concatenate([orders.given, orders.swapped])
    assert np.nansum(told) == pytest.approx(np.nansum(group.table.outcome))


def test_rows_without_names_of_systems_are_told_as_they_are(tmp_path):
    rows = [
        {"prompt": f"p{n}", "first": "x", "second": "y", "winner": "first" if n else "second"}
        for n in range(4)
    ]
    path = tmp_path / "plain.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    main(["winrate", "--verdicts", str(path), "--out", str(tmp_path / "out")])
    (found,) = json.loads((tmp_path / "out" / "winrate.json").read_text())["results"]
    assert (found["first"], found["second"], found["win_rate"]["mean"]) == ("first", "second", 0.75)


def test_the_same_seed_gives_the_same_bytes_whatever_the_order_of_rows(tmp_path):
    shuffled = random.Random(3).sample(BOTH, len(BOTH))
    winrate(tmp_path, BOTH, out="one")
    winrate(tmp_path, BOTH, out="two")
    winrate(tmp_path, [BOTH[0], *[one for one in shuffled if one is not BOTH[0]]], out="three")
    read = [(tmp_path / name / "winrate.csv").read_bytes() for name in ("one", "two", "three")]
    assert read[0] == read[1] == read[2]


def test_people_correct_a_judge_who_favours_one_side(tmp_path):
    generator = random.Random(5)
    judged, people = [], []
    for number in range(400):
        truth = generator.random() < 0.5
        said = truth if generator.random() < 0.8 else True  # the judge errs towards the first
        judged.append(verdict(f"p{number}", "first" if said else "second"))
        if number < 120:
            people.append(verdict(f"p{number}", "first" if truth else "second", judge="human"))
    human = write(tmp_path / "human.jsonl", people)
    (found,) = winrate(tmp_path, judged, "--human", str(human))
    corrected = found["human"]["corrected"]
    assert found["win_rate"]["low"] > 0.5  # sure of what is not so
    assert corrected["low"] < 0.5 < corrected["high"]
    assert found["human_gain"] > 1
    assert found["human"]["comparisons"] == 120
    assert found["human"]["more_labels"] > 0


def test_the_page_holds_texts_as_data_and_the_disagreements_first(tmp_path):
    hostile = "</script><script>alert(1)</script>"
    verdicts = [*BOTH, verdict("p9", "first", first=hostile)]
    winrate(tmp_path, verdicts, "--shown", "2")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "2 of the 5 comparisons" in page
    data = page.split('id="data">')[1].split("</script>")[0]
    shown = json.loads(data)
    assert [(one["id"], one["disagrees"]) for one in shown] == [("p2", True), ("p3", True)]
    assert shown[0]["verdicts"][1]["shown_first"] == "b"
    winrate(tmp_path, verdicts, out="all")
    page = (tmp_path / "all" / "index.html").read_text()
    assert hostile not in page
    assert any(
        one["first"] == hostile for one in json.loads(page.split('id="data">')[1].split("</script>")[0])
    )
    assert "http" not in page.split("<main>")[1].split("<h2>The comparisons")[0]


@needs_data
def test_alpaca_evals_leaderboard_by_the_command(tmp_path):
    main(["winrate", "--verdicts", str(DATA / "annotations_v2.csv.gz"), "--out", str(tmp_path / "out"),
          "--bootstrap", "50"])  # fmt: skip
    with (tmp_path / "out" / "winrate.csv").open() as file:
        found = {row["first"].split("/")[0]: row for row in csv.DictReader(file)}
    with (DATA / "leaderboard_v2.csv").open() as file:
        published = {row["Unnamed: 0"]: row for row in csv.DictReader(file)}
    assert len(published) == 28
    for model, row in published.items():
        assert 100 * float(found[model]["win_rate"]) == pytest.approx(float(row["win_rate"]), abs=1e-6), model
        # Theirs has no prompts in it; with one verdict a prompt the robust error is the same.
        assert 100 * float(found[model]["standard_error"]) == pytest.approx(
            float(row["standard_error"]), rel=2e-3
        )
        low, high = (float(found[model][f"length_controlled_{end}"]) for end in ("low", "high"))
        assert 0 < low < high < 1
    with gzip.open(DATA / "annotations_v2.csv.gz", "rt") as file:
        assert sum(int(row["verdicts"]) for row in found.values()) <= sum(1 for _ in file) - 1


def test_mistakes_are_told_in_one_line(tmp_path, capsys):
    out = str(tmp_path / "out")
    missing = str(tmp_path / "none.jsonl")
    assert "no such file" in stopped(capsys, "winrate", "--verdicts", missing, "--out", out)
    other = tmp_path / "other.jsonl"
    other.write_text('{"prompt": "p", "response": "r"}\n')
    assert "not a file of verdicts" in stopped(capsys, "winrate", "--verdicts", str(other), "--out", out)
    source = str(write(tmp_path / "v.jsonl", BOTH))
    error = stopped(capsys, "winrate", "--verdicts", source, "--out", out, "--baseline", "z")
    assert "no system is named 'z'; there are a, b" in error
    none = str(write(tmp_path / "none_won.jsonl", [verdict("p", None), verdict("q", None)]))
    error = stopped(capsys, "winrate", "--verdicts", none, "--out", out)
    assert "none of 2 verdicts has a winner: 2 parse_failed" in error
    tied = str(write(tmp_path / "tied.jsonl", [verdict("p", "tie"), verdict("q", "tie")]))
    error = stopped(capsys, "winrate", "--verdicts", tied, "--out", out, "--ties", "drop")
    assert "2 are ties or in disagreement, which --ties drop leaves out" in error
    strange = str(write(tmp_path / "strange.jsonl", [verdict("elsewhere", "first", systems=("c", "d"))]))
    error = stopped(capsys, "winrate", "--verdicts", source, "--out", out, "--human", strange)
    assert "holds no verdict on a comparison of" in error
    assert "level is between 0 and 1" in stopped(
        capsys, "winrate", "--verdicts", source, "--out", out, "--level", "95"
    )
    assert not Path(out).exists()
    winrate(tmp_path, BOTH)
    assert "--overwrite" in stopped(capsys, "winrate", "--verdicts", source, "--out", out)


def test_a_judge_that_always_says_tie_has_a_win_rate_of_a_half_and_says_so_plainly(tmp_path):
    ties = [verdict(f"p{number}", "tie", swapped=swapped) for number in range(9) for swapped in (False, True)]
    (found,) = winrate(tmp_path, ties)
    assert found["win_rate"]["mean"] == 0.5
    assert found["win_rate"]["ties"] == 18
    assert found["win_rate"]["low"] < 0.5 < found["win_rate"]["high"]
    assert found["position"]["counts"]["ties"] == 9
    assert not math.isnan(found["win_rate"]["standard_error"])


def test_a_narrow_terminal_cuts_no_number(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "72")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    orders = [(number, swapped) for number in range(600) for swapped in (False, True)]
    texts = ("word " * 3, "word " * 4)
    verdicts = [
        verdict(f"p{n}", "first" if n % 3 else "second", swapped, first=texts[n % 2], second=texts[1 - n % 2])
        for n, swapped in orders
    ]
    (found,) = winrate(tmp_path, verdicts)
    printed = capsys.readouterr().out
    assert "1,200" in printed
    for end in ("low", "high"):
        for rate in ("win_rate", "shown_first", "length_controlled"):
            assert f"{found[rate][end]:.1%}" in printed


def test_the_browser_tells_sides_whatever_the_systems_are_called(tmp_path):
    verdicts = [
        verdict("p1", "first", systems=("tie", "tie"), first="x", second="y"),
        verdict("p2", "second", systems=("tie", "b"), first="x", second="y"),
        verdict("p2", "first", systems=("b", "tie"), first="y", second="x", judge="k"),
    ]
    source = write(tmp_path / "v.jsonl", verdicts)
    shown = gather_comparisons(str(source), read_table(source), 10).comparisons
    assert {one.id: [each.winner for each in one.verdicts] for one in shown} == {
        "p1": ["first"],
        "p2": ["second", "second"],
    }


def test_a_text_that_is_cut_keeps_its_length(tmp_path):
    source = write(tmp_path / "v.jsonl", [verdict("p", "first", first="x" * 30_000)])
    (shown,) = gather_comparisons(str(source), read_table(source), 10).comparisons
    assert (shown.first_characters, shown.second_characters) == (30_000, 3)
    assert shown.first.endswith("[... 10,000 more characters]")


def test_ties_that_a_judge_called_are_ties_whatever_its_probabilities(tmp_path):
    verdicts = [
        verdict(f"p{n}", "tie" if n < 6 else "first", swapped, preference=0.6 if n < 6 else 0.9)
        for n in range(9)
        for swapped in (False, True)
    ]
    (found,) = winrate(tmp_path, verdicts)
    assert found["win_rate"]["mean"] == pytest.approx((6 * 0.6 + 3 * 0.9) / 9)
    assert found["outcomes"] == {"wins": 6, "ties": 12, "losses": 0}
    assert found["position"]["counts"]["ties"] == 6
    assert found["position"]["policies"]["half"]["win_rate"]["mean"] == pytest.approx((6 * 0.5 + 3) / 9)
    assert found["position"]["policies"]["preference"]["win_rate"]["mean"] == pytest.approx(
        (6 * 0.6 + 3 * 0.9) / 9
    )
    (row,) = csv.DictReader((tmp_path / "out" / "winrate.csv").read_text().splitlines())
    assert (row["wins"], row["ties"], row["losses"]) == ("6", "12", "0")
    assert "6 / 12 / 0" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    (dropped,) = winrate(tmp_path, verdicts, "--ties", "drop", out="drop")
    assert dropped["outcomes"] == {"wins": 3, "ties": 0, "losses": 0}


@pytest.mark.parametrize("command", ["winrate", "rank"])
def test_names_that_look_like_formulas_are_drawn_as_they_are(tmp_path, command):
    names = ("$\\frac{$", "_a$\\b$")
    verdicts = [verdict(f"p{n}", ("first", "second")[n % 2], systems=names, judge="$x") for n in range(4)]
    source = write(tmp_path / "v.jsonl", verdicts)
    main([command, "--verdicts", str(source), "--out", str(tmp_path / "out"), "--bootstrap", "20"])
    assert (tmp_path / "out" / "index.html").exists()


def test_the_prompts_that_a_width_takes_are_told_by_the_closed_form(tmp_path):
    wins = [verdict(f"p{number}", "first" if number % 4 else "second") for number in range(40)]
    (found,) = winrate(tmp_path, wins, "--width", "0.05")
    variance = 0.75 * 0.25 * 40 / 39
    assert found["enough_prompts"] == math.ceil(variance * (1.959964 / 0.05) ** 2)
    alike = [verdict(f"p{number}", "first") for number in range(5)]
    assert winrate(tmp_path, alike, out="alike")[0]["enough_prompts"] is None
