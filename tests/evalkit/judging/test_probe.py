"""`evalkit probe`: judges whose illness is known, the figures by hand, and what the command leaves behind."""

import csv
import json
import math
import re

import numpy as np
import pytest

from evalkit.cli import main
from evalkit.judging.config import ProbeJudge
from evalkit.judging.probe.command import run
from evalkit.judging.probe.findings import MEASURES, ProbeFinding, estimate, fewest_prompts, overall
from judges.verdicts.reading import read_verdicts
from rewards.errors import DataError, OutputExistsError
from rewards.intervals import Resampling
from tests.judges.asking.chat_server import serving, statistics
from tests.judges.scripted_asker import scripted

PROMPTS = 40
RESAMPLING = Resampling()


def good_answer(number):
    return f"Thing {number} is {number * 7} wide. That follows from its height, {number * 3}, by the rule."


@pytest.fixture
def data(tmp_path):
    rows = [{"prompt": f"How wide is thing {n}?", "response": good_answer(n)} for n in range(PROMPTS)]
    path = tmp_path / "good.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def probe(monkeypatch, data, script=None, judge="openai:m", **settings):
    if script:
        monkeypatch.setattr("judges.llm.Asker", scripted(script))
    out = data.parent / "out"
    run(ProbeJudge(judge=judge, data=str(data), out=str(out), **settings))
    return out, json.loads((out / "probe.json").read_text(encoding="utf-8"))


def figures(report):
    return {(row["probe"], row["kind"], row["measure"]): row for row in report["figures"]}


def texts(question):
    content = question.messages[-1].content
    prompt = int(re.search(r"thing (\d+)\?", content)[1])
    shown = [
        re.search(rf"BEGIN {label}>>>\n(.*?)\n<<<\w+ END {label}>>>\n*(?:<<<|First)", content, re.DOTALL)[1]
        for label in ("ANSWER A", "ANSWER B")
    ]
    return good_answer(prompt), *shown


def perfect(question):
    """Prefer the good answer; a padded one is as good."""
    good, *shown = texts(question)
    worth = [good in text for text in shown]
    return "[[C]]" if worth[0] == worth[1] else "[[A]]" if worth[0] else "[[B]]"


def obedient(question):
    """Do as an answer says, else be perfect."""
    for letter, text in zip("AB", texts(question)[1:], strict=True):
        if re.search(r"\[\[|is better|\"verdict\"", text):
            return f"[[{letter}]]"
    return perfect(question)


def test_a_perfect_judge_passes_everything(monkeypatch, data):
    _, report = probe(monkeypatch, data, perfect)
    assert report["verdict"] == "passes"
    assert set(report["probes"].values()) == {"passes"}
    assert {row["missing"] for row in report["figures"]} == {0}
    found = figures(report)
    assert found["null answer", "", "win rate"]["value"] == 0
    assert found["length padding", "", "win rate"]["value"] == 0.5
    assert found["identical pair", "", "tie rate"]["n"] == PROMPTS
    assert found["swapped copies", "", "same verdict in both orders"]["n"] == 12 * PROMPTS
    assert (report["prompts"], report["comparisons"]) == (PROMPTS, 25 * PROMPTS)


def test_a_judge_that_obeys_injections_fails_them_and_the_null_table_alone(monkeypatch, data):
    _, report = probe(monkeypatch, data, obedient)
    assert report["probes"] == {
        "null answer": "fails",
        "injected verdict": "fails",
        "length padding": "passes",
        "swapped copies": "passes",
        "identical pair": "passes",
    }
    found = figures(report)
    for kind in ("brackets", "claim", "order", "end marker", "JSON"):
        row = found["injected verdict", kind, "win rate gained"]
        assert (row["without"], row["injected"], row["value"]) == (0, 1, 1)
    nulls = {kind: found["null answer", kind, "win rate"] for kind in ("empty", "courtesy", "verdict table")}
    assert [row["verdict"] for row in nulls.values()] == ["passes", "passes", "fails"]


def test_a_judge_that_always_says_the_first_fails_by_position(monkeypatch, data):
    _, report = probe(monkeypatch, data, lambda _: "[[A]]")
    found = figures(report)
    assert found["swapped copies", "", "same verdict in both orders"]["value"] == 0
    assert found["swapped copies", "", "win rate of the first shown"]["value"] == 1
    assert found["identical pair", "", "win rate of the first shown"]["value"] == 1
    assert found["identical pair", "", "tie rate"]["value"] == 0
    assert report["probes"]["swapped copies"] == report["probes"]["identical pair"] == "fails"
    # No injection changes its mind, and it likes padding no better than its place.
    assert report["probes"]["injected verdict"] == report["probes"]["length padding"] == "passes"


def test_a_judge_that_counts_characters_fails_by_padding_and_ties_identical_pairs(monkeypatch, data):
    out, report = probe(monkeypatch, data, judge="reward:rule:length")
    found = figures(report)
    assert found["length padding", "", "win rate"]["value"] == 1
    assert report["probes"]["length padding"] == "fails"
    assert report["probes"]["swapped copies"] == report["probes"]["identical pair"] == "passes"
    verdicts = list(read_verdicts(out / "verdicts.jsonl"))
    assert len(verdicts) == 25 * PROMPTS
    for verdict in verdicts:
        lengths = len(verdict.comparison.first), len(verdict.comparison.second)
        assert verdict.outcome() == (np.sign(lengths[0] - lengths[1]) + 1) / 2
        assert verdict.comparison.extra["second_system"] == "good answer"


def test_the_order_of_a_row_is_the_order_shown(monkeypatch, data):
    out, _ = probe(monkeypatch, data, lambda _: "[[A]]", limit=2)
    for verdict in read_verdicts(out / "verdicts.jsonl"):
        assert verdict.winner == ("second" if verdict.swapped else "first")


def test_a_judge_without_ties_has_no_tie_rate(monkeypatch, data):
    _, report = probe(monkeypatch, data, lambda _: "[[B]]", judge="openai:m?ties=false", limit=3)
    found = figures(report)
    assert ("identical pair", "", "tie rate") not in found
    assert found["identical pair", "", "win rate of the first shown"]["value"] == 0


def test_missing_verdicts_are_counted_and_pass_nothing(monkeypatch, data):
    _, report = probe(monkeypatch, data, lambda q: perfect(q) if "height" in texts(q)[2] else "No idea.")
    row = figures(report)["null answer", "", "win rate"]
    assert (row["n"], row["missing"]) == (4 * PROMPTS, 4 * PROMPTS)  # the null answers shown second
    assert (row["value"], row["worst_low"], row["worst_high"]) == (0, 0, 0.5)
    assert row["verdict"] == "cannot tell"


def test_a_jury_is_probed_as_one_and_its_members_verdicts_stand_behind(monkeypatch, data):
    spec = "jury:reward:rule:length,reward:rule:constant"
    out, report = probe(monkeypatch, data, judge=spec, limit=2)
    assert figures(report)["null answer", "", "win rate"]["n"] == 16
    judges = [verdict.judge for verdict in read_verdicts(out / "verdicts.jsonl")]
    assert judges == [spec, "reward:rule:length", "reward:rule:constant"] * 50


def test_a_judge_that_says_nothing_is_an_error(monkeypatch, data):
    with pytest.raises(DataError, match="none of 50 verdicts has a winner: 50 parse_failed"):
        probe(monkeypatch, data, lambda _: "No idea.", limit=2)


def test_over_the_network_nothing_is_asked_twice_and_no_key_is_kept(data, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving() as url:
        out, first = probe(monkeypatch, data, limit=3, base_url=url, api_key="sk-secret-7")
        asked = statistics(url)["calls"]
        _, second = probe(monkeypatch, data, limit=3, base_url=url, api_key="sk-secret-7", overwrite=True)
        assert asked == statistics(url)["calls"] == 75
    assert first == second
    for path in [*out.iterdir(), data.parent / "out.ledger"]:
        assert b"sk-secret-7" not in path.read_bytes()


def test_an_endpoint_that_is_not_there_leaves_no_folder(data, capsys):
    arguments = ["probe", "--judge", "openai:m", "--data", str(data), "--out", str(data.parent / "out")]
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--base_url", "http://127.0.0.1:9/v1", "--api_key", "x", "--tries", "1"])
    assert stopped.value.code == 2
    assert "127.0.0.1:9" in capsys.readouterr().err
    assert not (data.parent / "out").exists()


def test_a_plan_asks_and_writes_nothing(monkeypatch, data, capsys):
    asked = []
    monkeypatch.setattr("judges.llm.Asker", scripted(lambda question: asked.append(question) or "[[A]]"))
    run(ProbeJudge(judge="openai:m", data=str(data), out=str(data.parent / "out"), plan=True))
    said = capsys.readouterr().out
    assert "1,000 comparisons made of 40 prompts" in said
    assert "openai:m: 1,000 calls" in said
    assert not asked
    assert [path.name for path in data.parent.iterdir()] == ["good.jsonl"]


def test_a_finished_run_is_refused_and_each_file_says_the_same(monkeypatch, data):
    out, report = probe(monkeypatch, data, perfect, limit=2)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        probe(monkeypatch, data, perfect, limit=2)
    with (out / "probe.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == [row["verdict"] for row in report["figures"]]
    assert [float(row["value"]) for row in rows] == [row["value"] for row in report["figures"]]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<td>null answer</td><td>cannot tell</td>" in page
    assert "takes 35 prompts or more" in page
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([{"prompt": "a", "response": "b c"}], "2 prompts or more"),
        ([{"prompt": "a", "response": "b"}, {"prompt": "a", "response": "c"}], "2 prompts or more.*got 1"),
        ([{"prompt": "a", "response": " "}, {"prompt": "b", "response": "c"}], "jsonl:1: .*not a blank one"),
        ([{"prompt": "a", "response": "c"}, {"prompt": "b", "response": "c"}], "too short to cut"),
    ],
)
def test_data_of_which_no_probes_can_be_made_is_refused(monkeypatch, tmp_path, rows, error):
    path = tmp_path / "few.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match=f"few.*{error}"):
        probe(monkeypatch, path, judge="reward:rule:length")
    assert not (tmp_path / "out").exists()


def test_prompts_that_agree_leave_room_for_those_not_seen():
    found = estimate(np.zeros(100), np.repeat(np.arange(50), 2), RESAMPLING, 0.0)
    # Wilson's upper end for 0 of 50: z^2 / (50 + z^2).
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(1.959964**2 / (50 + 1.959964**2), rel=1e-6)
    lift = estimate(np.zeros(50), np.arange(50), RESAMPLING, -1.0)
    assert (lift.low, lift.high) == pytest.approx((-found.high, found.high))
    tied = estimate(np.full(50, 0.5), np.arange(50), RESAMPLING, 0.0)
    assert (tied.low, tied.high) == pytest.approx((0.5 - found.high / 2, 0.5 + found.high / 2))


def test_fewest_prompts_is_the_least_number_that_can_pass():
    fewest = fewest_prompts(0.95)
    high = [estimate(np.zeros(k), np.arange(k), RESAMPLING, 0.0).high for k in (fewest - 1, fewest)]
    assert high[0] > 0.1 >= high[1]


def test_one_prompt_has_a_mean_and_no_verdict():
    found = estimate(np.zeros(4), np.zeros(4, int), RESAMPLING, 0.0)
    assert (found.value, found.low, found.high, found.n, found.prompts) == (0, None, None, 4, 1)
    assert ProbeFinding(MEASURES["null"], "", found).health == "cannot tell"


def test_nothing_but_missing_verdicts_has_no_mean():
    found = estimate(np.full(3, math.nan), np.arange(3), RESAMPLING, -1.0)
    assert (found.value, found.low, found.n, found.missing) == (None, None, 0, 3)
    assert (found.worst_low, found.worst_high) == (-1, 1)
    assert ProbeFinding(MEASURES["lift"], "", found).health == "cannot tell"


def test_missing_verdicts_can_undo_a_pass_and_a_failure():
    prompts = np.arange(200)
    values = np.where(prompts < 150, 0.0, math.nan)
    assert (
        ProbeFinding(MEASURES["null"], "", estimate(values, prompts, RESAMPLING, 0.0)).health == "cannot tell"
    )
    assert (
        ProbeFinding(MEASURES["null"], "", estimate(values[:150], prompts[:150], RESAMPLING, 0.0)).health
        == "passes"
    )
    values = np.where(prompts < 15, 1.0, math.nan)
    assert (
        ProbeFinding(MEASURES["null"], "", estimate(values, prompts, RESAMPLING, 0.0)).health == "cannot tell"
    )
    assert (
        ProbeFinding(MEASURES["null"], "", estimate(values[:15], prompts[:15], RESAMPLING, 0.0)).health
        == "fails"
    )


def test_the_worst_figure_is_the_probes():
    good = ProbeFinding(MEASURES["null"], "", estimate(np.zeros(90), np.arange(90), RESAMPLING, 0.0))
    bad = ProbeFinding(MEASURES["padding"], "", estimate(np.ones(90), np.arange(90), RESAMPLING, 0.0))
    unsure = ProbeFinding(MEASURES["null"], "empty", estimate(np.zeros(9), np.arange(9), RESAMPLING, 0.0))
    assert overall([good, bad, unsure]) == "fails"
    assert overall([good, bad, unsure], "null answer") == "cannot tell"
    assert overall([good]) == "passes"
