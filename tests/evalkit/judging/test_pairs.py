import math

import pytest

from evalkit.cli import main
from judges.judge import Comparison, Verdict
from judges.verdicts.reading import verdict_row
from rewards.data.preferences import load_preferences
from rewards.files import write_rows
from rewards.records import Message


def verdict(prompt, first, second, winner, preference=None, **more):
    extra = {"first_system": f"s-{first}", "second_system": f"s-{second}"}
    reason = "" if winner else "refused"
    told = {"judge": "openai:small", **more}
    return Verdict(Comparison(prompt, first, second, "", extra), winner, preference, reason, **told)


CHAT = (Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "More."))

VERDICTS = [
    verdict("p", "a", "b", "first", 0.9),
    verdict("p", "a", "b", "second", 0.3, swapped=True),  # the mean is 0.6: a is better
    verdict(CHAT, "a", "b", "second"),
    verdict("q", "a", "b", "first"),
    verdict("q", "a", "b", "second", swapped=True),
    verdict("r", "same", "same", "tie"),
    verdict("s", "a", "b", None),
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(verdicts, name="v.jsonl"):
    write_rows(name, map(verdict_row, verdicts))
    return name


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_pairs_load_in_training_and_what_is_left_out_is_counted(capsys):
    main(["pairs", "--verdicts", written(VERDICTS), "--out", "pairs.jsonl"])
    made = list(load_preferences("pairs.jsonl"))
    assert [(one.prompt, one.chosen, one.rejected, one.margin) for one in made] == [
        ("p", "a", "b", 0.0),
        (CHAT, "b", "a", 0.0),
    ]
    assert [(one.extra["chosen_system"], one.extra["rejected_system"]) for one in made] == [
        ("s-a", "s-b"),
        ("s-b", "s-a"),
    ]
    told = capsys.readouterr().out
    assert "2 preferences of 7 verdicts" in told
    for line in ("identical responses", "no verdict", "tie"):
        assert f"1 comparisons left out: {line}\n" in told
    assert told.endswith("written to pairs.jsonl\n")


@pytest.mark.usefixtures("here")
def test_the_margin_is_the_logit_of_the_mean_probability(capsys):
    main(["pairs", "--verdicts", written(VERDICTS), "--out", "pairs.jsonl", "--margin", "logit"])
    (made,) = load_preferences("pairs.jsonl")
    assert made.margin == pytest.approx(math.log(0.6 / 0.4))
    assert "1 comparisons left out: no probability" in capsys.readouterr().out
    ranking = ["pairs", "--verdicts", "v.jsonl", "--out", "r.jsonl", "--form", "ranking"]
    assert "margin goes with form=preference" in refused([*ranking, "--margin", "logit"], capsys)


@pytest.mark.usefixtures("here")
def test_rankings_load_in_training_from_several_files_of_parquet_and_lines(capsys):
    one = written([verdict("p", "a", "b", "first"), verdict("p", "b", "c", "first")], "one.jsonl")
    other = written([verdict("p", "c", "a", "second"), verdict("q", "a", "b", "first")], "other.parquet")
    cut = written([verdict("t", "a", "b", "first"), verdict("t", "a", "c", "first")], "cut.jsonl")
    main(["pairs", f"--verdicts=[{one},{other},{cut}]", "--out", "o.jsonl", "--form", "ranking"])
    made = {ranking.prompt: ranking for ranking in load_preferences("o.jsonl")}
    assert dict(zip(made["p"].responses, made["p"].ranks, strict=True)) == {"a": 1, "b": 2, "c": 3}
    assert dict(zip(made["q"].responses, made["q"].ranks, strict=True)) == {"a": 1, "b": 2}
    assert "t" not in made
    assert "1 prompts or comparisons left out: a pair not compared" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
def test_a_jury_s_members_are_not_counted_beside_the_jury(capsys):
    jury = [
        verdict("p", "a", "b", "first", judge="jury:x,y,z"),
        verdict("p", "a", "b", "second", judge="x"),
        verdict("p", "a", "b", "second", judge="y"),
    ]
    main(["pairs", "--verdicts", written(jury), "--out", "o.jsonl"])
    (made,) = load_preferences("o.jsonl")
    assert (made.chosen, made.extra["verdicts"]) == ("a", 1)
    assert "2 verdicts passed over: of a jury's member" in capsys.readouterr().out
    main(["pairs", "--verdicts", "v.jsonl", "--out", "x.jsonl", "--judge", "x"])
    assert [one.chosen for one in load_preferences("x.jsonl")] == ["b"]
    assert "2 verdicts passed over: of another judge" in capsys.readouterr().out


def test_one_axis_is_taken(here, capsys):
    both = [verdict("p", "a", "b", "first"), verdict("p", "a", "b", "second", axis="harmless")]
    arguments = ["pairs", "--verdicts", written(both), "--out"]
    assert "take one by --axis" in refused([*arguments, "o.jsonl"], capsys)
    for axis, chosen in (("overall", "a"), ("harmless", "b")):
        main([*arguments, f"{axis}.jsonl", "--axis", axis])
        assert [one.chosen for one in load_preferences(f"{axis}.jsonl")] == [chosen]
    assert "nothing to write: 2 verdicts passed over: on another axis" in refused(
        [*arguments, "o.jsonl", "--axis", "helpful"], capsys
    )
    assert not (here / "o.jsonl").exists()


def test_inputs_and_outputs_are_refused_before_anything_is_read(here, capsys):
    written(VERDICTS)
    (here / "o.jsonl").write_text("old")
    pairs = ["pairs", "--verdicts", "v.jsonl", "--out"]
    assert "--overwrite" in refused([*pairs, "o.jsonl"], capsys)
    assert (here / "o.jsonl").read_text() == "old"
    assert "is an input too" in refused([*pairs, "./v.jsonl", "--overwrite"], capsys)
    assert "several different ones" in refused(
        ["pairs", "--verdicts=[v.jsonl,v.jsonl]", *pairs[3:], "n.jsonl"], capsys
    )
    main([*pairs, "o.jsonl", "--overwrite"])
    assert len(list(load_preferences("o.jsonl"))) == 2
    assert "none.jsonl" in refused(["pairs", "--verdicts", "none.jsonl", "--out", "n.jsonl"], capsys)
