import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from evalkit.cli import main

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
WINNERS = {1.0: "first", 0.5: "tie", 0.0: "second"}


def verdict(prompt, one, other, outcome, judge="j", **more):
    row = {
        "id": str(prompt),
        "prompt": f"question {prompt}",
        "first": f"{one} says",
        "second": f"{other} says",
    }
    row |= {"first_system": one, "second_system": other, "judge": judge, "winner": WINNERS.get(outcome)}
    return row | ({} if outcome is not None else {"reason": "parse_failed"}) | more


def rank(write_rows, tmp_path, rows, *options):
    verdicts = write_rows("verdicts.jsonl", rows)
    main(["rank", "--verdicts", verdicts, "--out", str(tmp_path / "out"), "--bootstrap", "200", *options])
    return json.loads((tmp_path / "out" / "leaderboard.json").read_text(encoding="utf-8"))


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["rank", *arguments])
    message = capsys.readouterr().err
    assert stop.value.code == 2
    assert message.count("\n") == 1
    return message


def page(tmp_path):
    return (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def table(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_system(board):
    return {row["system"]: row for row in board["systems"]}


def simulated(prompts=60, judges=("strict", "lenient"), seed=0):
    """Three systems: a and b alike, c far behind; verdicts on a prompt lean the same way."""
    generator, strength = np.random.default_rng(seed), {"a": 0.0, "b": 0.0, "c": -1.6}
    rows = []
    for prompt in range(prompts):
        lean = {system: generator.normal(0, 0.5) for system in strength}
        for first, second in (("a", "b"), ("b", "c"), ("c", "a")):
            chance = 1 / (1 + np.exp(strength[second] + lean[second] - strength[first] - lean[first]))
            for judge in judges:
                outcome = float(generator.random() < chance) if generator.random() > 0.1 else 0.5
                rows.append(verdict(prompt, first, second, outcome, judge))
    return rows


def test_evalica_s_strengths_through_the_command(write_rows, tmp_path):
    if not (DATA / "evalica").exists():
        pytest.skip("needs ../shared/data/evalica")
    outcomes = {"left": 1.0, "tie": 0.5, "right": 0.0}
    games = table(DATA / "evalica" / "food.csv")
    rows = [verdict(n, row["left"], row["right"], outcomes[row["winner"]]) for n, row in enumerate(games)]
    (board,) = rank(write_rows, tmp_path, rows)["boards"]
    golden = {
        row["item"]: float(row["score"])
        for row in table(DATA / "evalica" / "food-golden.csv")
        if row["algorithm"] == "bradley_terry"
    }
    found = {name: np.exp(row["strength"]) for name, row in by_system(board).items()}
    for name, score in golden.items():
        assert found[name] / sum(found.values()) == pytest.approx(score, rel=3e-7)
    assert [row["system"] for row in board["systems"]] == sorted(golden, key=lambda name: -golden[name])


def test_a_single_pair_worked_by_hand(write_rows, tmp_path, capsys):
    rows = [verdict(n, "new", "old", 1.0) for n in range(6)]
    rows += [verdict(n, "old", "new", 1.0) for n in range(6, 8)]
    rows += [verdict(8, "new", "old", 0.5), verdict(9, "old", "new", 0.5), verdict(10, "new", "old", None)]
    (board,) = rank(write_rows, tmp_path, rows)["boards"]
    new, old = board["systems"]  # 7 of 10 points: log-odds of 7/3, halved by the mean of 0
    assert new["strength"] == pytest.approx(np.log(7 / 3) / 2)
    assert old["strength"] == pytest.approx(-np.log(7 / 3) / 2)
    assert new["win_rate"] == pytest.approx(0.7)
    assert new["win_rate_against_average"] == pytest.approx(0.7)
    assert (new["n"], new["missing"], new["missing_parse_failed"]) == (10, 1, 1)
    assert board["missing"] == {"parse_failed": 1}
    (pair,) = table(tmp_path / "out" / "pairs.csv")
    assert (pair["first"], pair["second"], pair["n"]) == ("new", "old", "10")
    # Scores 0.3 (six times), -0.7 (twice) and -0.2 (twice) over the information 10 * 0.21, squared.
    variance = (6 * 0.3**2 + 2 * 0.7**2 + 2 * 0.2**2) / 2.1**2 * 10 / 9
    assert float(pair["standard_error"]) == pytest.approx(np.sqrt(variance))
    said = capsys.readouterr().out
    assert "new is first; old does not differ significantly from it." in said
    assert "missing 1 (parse_failed 1)" in said


def test_ties_ranks_and_the_matrix(write_rows, tmp_path):
    report = rank(write_rows, tmp_path, simulated(judges=("j",)))
    (board,) = report["boards"]
    systems = by_system(board)
    assert systems["a"]["tied_with_best"]
    assert systems["b"]["tied_with_best"]
    assert (systems["c"]["highest_rank"], systems["c"]["lowest_rank"]) == (3, 3)
    assert {frozenset(group) for group in board["tied_groups"]} == {frozenset("ab"), frozenset("c")}
    matrix = {row["system"]: row for row in table(tmp_path / "out" / "matrix.csv")}
    assert float(matrix["a"]["against c"]) + float(matrix["c"]["against a"]) == pytest.approx(1)
    assert matrix["a"]["against a"] == ""
    against = [float(matrix["a"][f"against {other}"]) for other in "bc"]
    assert np.mean(against) == pytest.approx(systems["a"]["win_rate"])  # each met equally often
    assert all(row["low"] < row["strength"] < row["high"] for row in board["systems"])
    assert report["pairs"][0]["adjusted_p_value"] >= report["pairs"][0]["p_value"]


def test_several_judges_are_ranked_together_and_each_by_itself(write_rows, tmp_path, capsys):
    rows = [*simulated(), *(verdict(n, "a", "c", 1.0, "blind") for n in range(5))]
    report = rank(write_rows, tmp_path, rows)
    assert [board["judge"] for board in report["boards"]] == ["all judges", "lenient", "strict"]
    assert [board["n"] for board in report["boards"]] == [365, 180, 180]
    (blind,) = report["not_ranked"]
    assert blind["judge"] == "blind"
    assert "a never loses; c never wins" in blind["why"]
    assert "blind: not ranked by itself" in capsys.readouterr().out
    assert "Judge by judge" in page(tmp_path)
    assert "blind is not ranked by itself" in page(tmp_path)


def test_axes_are_apart(write_rows, tmp_path):
    helpful = [verdict(n, "a", "b", float(n % 4 > 0), axis="helpful") for n in range(12)]
    harmless = [verdict(n, "a", "b", float(n % 4 == 0), axis="harmless") for n in range(12)]
    report = rank(write_rows, tmp_path, helpful + harmless)
    first = {board["axis"]: board["systems"][0] for board in report["boards"]}
    assert {axis: row["system"] for axis, row in first.items()} == {"helpful": "a", "harmless": "b"}
    assert first["helpful"]["strength"] == pytest.approx(np.log(3) / 2)


def test_davidson_counts_ties_for_themselves(write_rows, tmp_path):
    # Between equals a tie comes nu / (2 + nu) of the time: 1 of 5 makes a nu of 0.5.
    rows = [
        verdict(n, "a", "b", [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5][n % 10]) for n in range(40)
    ]
    (board,) = rank(write_rows, tmp_path, rows, "--ties", "davidson")["boards"]
    assert board["tie_parameter"] == pytest.approx(0.5)
    assert by_system(board)["a"]["win_rate_against_average"] == pytest.approx(0.5)
    assert "A tie is an outcome of its own" in page(tmp_path)


def test_style_is_held_equal(write_rows, tmp_path):
    # Who is longer wins three times in four, and that is all there is: at equal length nobody is ahead.
    generator, rows = np.random.default_rng(0), []
    for n in range(200):
        longer = n % 5 > 0  # the wordy system is longer in four of five
        texts = {"wordy": "word " * (20 if longer else 5), "terse": "word " * (5 if longer else 20)}
        won = (generator.random() < 0.75) == longer
        rows.append(verdict(n, "wordy", "terse", float(won), first=texts["wordy"], second=texts["terse"]))
    (board,) = rank(write_rows, tmp_path, rows, "--style", "[length]")["boards"]
    wordy = by_system(board)["wordy"]
    assert wordy["low"] > 0
    assert wordy["styled_low"] < 0 < wordy["styled_high"]
    (length,) = board["style"]
    assert length["low"] > 0  # what a difference of 15 words of 25 is worth: odds of three to one
    assert length["coefficient"] == pytest.approx(np.log(3), abs=0.35)
    assert "At equal style: length" in page(tmp_path)


def test_elo_comes_with_its_warning(write_rows, tmp_path):
    (board,) = rank(write_rows, tmp_path, simulated(judges=("j",)), "--elo", "true")["boards"]
    ratings = [row["elo"] for row in board["systems"]]
    assert sum(ratings) == pytest.approx(3000)  # what one wins the other loses
    assert min(ratings) == by_system(board)["c"]["elo"]
    assert all(row["elo_order_low"] < row["elo"] < row["elo_order_high"] for row in board["systems"])
    assert "depends on the order of the games" in (tmp_path / "out" / "index.html").read_text(
        encoding="utf-8"
    )


def test_a_system_that_never_loses_has_a_remedy(write_rows, tmp_path, capsys):
    rows = [verdict(n, "best", "worst", 1.0) for n in range(5)]
    verdicts, out = write_rows("unbeaten.jsonl", rows), str(tmp_path / "none")
    message = refused(capsys, "--verdicts", verdicts, "--out", out)
    assert "best never loses; worst never wins" in message
    assert "--prior 1" in message
    assert not (tmp_path / "none").exists()
    (board,) = rank(write_rows, tmp_path, rows, "--prior", "1")["boards"]
    best, worst = board["systems"]
    assert best["system"] == "best"
    assert 0 < best["strength"] < 3
    assert best["low"] is None  # every prompt says the same: resampling cannot tell how sure that is
    assert worst["tied_with_best"]  # five of five are not enough: the sign test's p is 1/16


def test_the_page_is_self_contained_and_shows_hostile_names_as_text(write_rows, tmp_path):
    hostile = "<script>alert(1)</script>"
    rows = [verdict(n, hostile, "b", float(n % 2), reply="<img src=x>") for n in range(6)]
    rank(write_rows, tmp_path, rows)
    assert hostile not in page(tmp_path)
    assert "&lt;script&gt;alert(1)" in page(tmp_path)
    assert not re.search(r'(src|href)="(?!data:)', page(tmp_path))
    assert (tmp_path / "out" / "leaderboard.png").stat().st_size > 10_000


def test_the_same_command_gives_the_same_bytes(write_rows, tmp_path):
    rows = simulated()
    rank(write_rows, tmp_path, rows)
    names = ("leaderboard.csv", "leaderboard.json", "pairs.csv", "matrix.csv")
    before = [(tmp_path / "out" / name).read_bytes() for name in names]
    rank(write_rows, tmp_path, rows, "--overwrite", "true")
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == before


NAMELESS = [verdict(n, "", "", 1.0) for n in range(3)]
SAME = [verdict(n, "a", "a", 1.0) for n in range(3)]
SILENT = [verdict(n, "a", "b", None) for n in range(3)]
TEXTLESS = [verdict(n, "a", "b", float(n % 2), first="", second="") for n in range(6)]
DECIDED = [verdict(n, "a", "b", float(n % 2)) for n in range(6)]


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([{"prompt": "p", "response": "r"}], [], "not a file of verdicts"),
        (NAMELESS, [], "3 of 3 verdicts do not name both systems"),
        (SAME, [], "a ranking needs two systems"),
        (SILENT, [], "no verdict to rank by: all 3 are missing"),
        (TEXTLESS, ["--style", "[length]"], "6 of 6 verdicts hold no texts"),
        (DECIDED, ["--style", "[bold]"], "covariate 'bold' is 0 in every row"),
        (DECIDED, ["--style", "[length]", "--ties", "davidson"], "style goes with ties=half"),
        (DECIDED, ["--style", "[length,length]"], "style names each feature once"),
        (DECIDED, ["--ties", "davidson"], "use --ties half"),
        (DECIDED, ["--level", "1.5"], "level is between 0 and 1"),
        (DECIDED, ["--prior", "-1"], "prior is 0 or more"),
    ],
)
def test_bad_input_is_one_line(write_rows, tmp_path, capsys, rows, options, words):
    verdicts = write_rows("bad.jsonl", rows)
    assert words in refused(capsys, "--verdicts", verdicts, "--out", str(tmp_path / "out"), *options)


def test_a_missing_file_is_one_line(tmp_path, capsys):
    assert "no such file" in refused(capsys, "--verdicts", str(tmp_path / "no.jsonl"), "--out", str(tmp_path))


def test_a_jury_is_not_counted_twice_by_its_members(tmp_path):
    def told(judge, winner):
        return [
            {"prompt": f"p{n}", "first": "x", "second": "y", "first_system": "a", "second_system": "b",
             "judge": judge, "winner": winner if n % 2 else "tie"} for n in range(6)
        ]  # fmt: skip

    rows = [*told("jury:m,n", "first"), *told("m", "first"), *told("n", "second")]
    path = tmp_path / "verdicts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    main(["rank", "--verdicts", str(path), "--out", str(tmp_path / "out"), "--prior", "1"])
    boards = json.loads((tmp_path / "out" / "leaderboard.json").read_text())["boards"]
    assert [(board["judge"], board["n"]) for board in boards] == [("jury:m,n", 6), ("m", 6), ("n", 6)]


def test_people_are_not_counted_beside_what_most_of_them_say(tmp_path):
    vote = {"preference": None, "reason": "", "detail": "", "reply": "", "usage": {}, "swapped": None}
    votes = [vote | {"judge": judge, "winner": "first"} for judge in ("human:ann", "human:bo")]
    rows = [
        {"prompt": f"p{n}", "first": "x", "second": "y", "first_system": "a", "second_system": "b",
         "judge": judge, "winner": "first", "reply": json.dumps(votes) if judge == "human:l.db" else ""}
        for n in range(6) for judge in ("human:l.db", "human:ann", "human:bo", "model")
    ]  # fmt: skip
    path = tmp_path / "verdicts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    main(["rank", "--verdicts", str(path), "--out", str(tmp_path / "out"), "--prior", "1"])
    together, *_ = json.loads((tmp_path / "out" / "leaderboard.json").read_text())["boards"]
    assert together["n"] == 12  # the model's and most people's
    pairs = ["pairs", "--verdicts", str(path), "--out", str(tmp_path / "pairs.jsonl")]
    main(pairs)
    made = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert [row["verdicts"] for row in made] == [2] * 6
