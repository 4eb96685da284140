"""`evalkit compare`: win rates worked by hand, alike and swapped policies, resumption, and wrong input."""

import csv
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalkit.cli import main
from evalkit.comparing import command as comparing
from evalkit.comparing import samples as comparison_samples
from evalkit.comparing import verdicts as comparison_verdicts
from evalkit.pipeline import generate as generating
from judges.judge import Verdict
from judges.reward import RewardJudge
from rewards.records import Generation, Score
from tests.judges.asking.chat_server import serving, statistics

PROMPTS = ["p", "q", "r", "s"]
SCRIPT = {  # two responses to each prompt
    "sft": [["aa", "bbb"], ["c", "dd"], ["eeee", "f"], ["gg", "hh"]],
    "long": [["aaaa", "bbbb"], ["cc", "dd"], ["eeeee", "ff"], ["ggg", "h"]],
    "mixed": [["a", "bbbb"], ["c", "d"], ["eeee", "fff"], ["gg", "hhhh"]],
}


class Scripted:
    """A policy that writes what the test says; the responses of five letters were cut."""

    def __init__(self, name: str):
        self.script = dict(zip(PROMPTS, SCRIPT[name], strict=True))

    def generate(self, prompts, n, _settings, _occurrences):
        return [[self._sample(prompt, text) for text in self.script[prompt][:n]] for prompt in prompts]

    def _sample(self, prompt, text):
        reason = "length" if len(text) == 5 else "eos"
        return Generation(prompt, text, extra={"finish_reason": reason, "token_count": len(text) + 1})


@pytest.fixture
def scripted(tmp_path, monkeypatch, write_rows):
    monkeypatch.chdir(tmp_path)
    write_rows("prompts.jsonl", [{"prompt": prompt, "topic": "letters"} for prompt in PROMPTS])
    for module in (generating, comparison_samples):
        monkeypatch.setattr(module, "load_policy", Scripted)
    return tmp_path


def command(policies, baseline, *more, out="out", data="prompts.jsonl"):
    named = json.dumps(policies)
    return ["compare", "--policies", named, "--baseline", baseline, "--data", data, "--out", out, *more]


LENGTH = ("--scorers", '{"length": "rule:length"}')
JUDGE = ("--judges", '{"judge": "reward:rule:length"}')
TWO = ({"Long": "long", "Mixed": "mixed"}, "sft")


def report(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def table(folder, name="table.csv"):
    with (folder / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    error = capsys.readouterr().err
    assert stop.value.code == 2, error
    assert error.count("\n") == 1
    return error


def contents(folder):
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


def test_figures_worked_by_hand(scripted, capsys):
    main(command(*TWO, "--samples", "2", *LENGTH, *JUDGE))
    long, mixed, sft = table(scripted / "out")
    # Long: aaaa>aa bbbb>bbb cc>c dd=dd eeeee>eeee ff>f ggg>gg h<hh, six wins, a tie and a loss.
    assert [int(long[f"length_{name}"]) for name in ("wins", "ties", "losses", "missing")] == [6, 1, 1, 0]
    assert float(long["length_win_rate"]) == 6.5 / 8
    # Mixed: a<aa bbbb>bbb c=c d<dd eeee=eeee fff>f gg=gg hhhh>hh.
    assert [int(mixed[f"length_{name}"]) for name in ("wins", "ties", "losses")] == [3, 3, 2]
    assert float(mixed["judge_win_rate"]) == float(mixed["length_win_rate"]) == 4.5 / 8
    assert (sft["baseline"], sft["length_win_rate"], sft["judge_win_rate"]) == ("True", "", "")
    assert [float(row["length_reward"]) for row in (long, mixed, sft)] == [23 / 8, 20 / 8, 17 / 8]
    assert [float(row["tokens"]) for row in (long, mixed, sft)] == [31 / 8, 28 / 8, 25 / 8]
    assert [float(row["characters"]) for row in (long, mixed, sft)] == [23 / 8, 20 / 8, 17 / 8]
    assert [float(row["unfinished"]) for row in (long, mixed, sft)] == [1 / 8, 0, 0]
    assert (long["judge_verdicts"], long["judge_missing_verdicts"]) == ("16", "0")  # both orders
    printed = capsys.readouterr().out
    assert "81.2% (" in printed
    assert "Long - Mixed" in printed
    assert (scripted / "out" / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_pairs_are_tested_on_the_same_prompts_and_corrected(scripted):
    main(command(*TWO, "--samples", "2", *LENGTH))
    pairs = {
        (row["quantity"], row["first"], row["second"]): row for row in table(scripted / "out", "pairwise.csv")
    }
    assert len(pairs) == 6
    # By prompt Long's wins less ties are 1, .5, 1, 0 (sums of value - .5): of the three that differ, all are
    # above 0, which by chance happens twice in 2^3.
    long = pairs["win rate", "Long", "SFT"]
    assert float(long["p_value"]) == 2 / 2**3
    assert (long["better"], long["worse"], long["n"], long["prompts"]) == ("3", "0", "8", "4")
    assert float(long["difference"]) == pytest.approx(6.5 / 8 - 0.5)
    # Sums of differences of Mixed to SFT: 0, -.5, .5, .5: of 8 choices of signs all sum to .5 or more.
    mixed = pairs["win rate", "Mixed", "SFT"]
    assert float(mixed["p_value"]) == 1
    # Long to Mixed: 1, 1, .5, -.5: sums of the 16 choices that reach 2 are (1 1 .5 -.5), (1 1 -.5 .5),
    # (1 1 .5 .5), and their opposites.
    between = pairs["win rate", "Long", "Mixed"]
    assert float(between["p_value"]) == 6 / 16
    # Holm: the smallest times 3, then no smaller than it.
    adjusted = [float(one["adjusted"]) for one in (long, between, mixed)]
    assert adjusted == [0.75, 0.75, 1]
    rewards = pairs["reward", "Long", "SFT"]
    assert float(rewards["difference"]) == pytest.approx(6 / 8)


def test_rows_hold_everything_of_a_prompt(scripted):
    main(command(*TWO, "--samples", "2", *LENGTH))
    rows = [json.loads(line) for line in (scripted / "out" / "rows.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in rows] == PROMPTS
    assert rows[0]["columns"] == {"topic": "letters"}
    last = rows[3]["policies"]
    assert last["Long"]["responses"] == ["ggg", "h"]
    assert last["Long"]["rewards"] == {"length": [3.0, 1.0]}
    assert last["Long"]["wins"] == {"length": [1.0, 0.0]}
    assert last["SFT"]["token_counts"] == [3, 3]


class Contradicting:
    """A judge that likes what it sees first of `q`, cannot read `r` in the second order, else the longer."""

    name = "scripted"

    def __init__(self):
        self.asked = []

    def compare(self, comparisons):
        return [self._verdict(one) for one in comparisons]

    def _verdict(self, one):
        self.asked.append(one)
        if one.prompt == "r" and one.extra["first_system"] == "SFT":
            return Verdict(one, None, None, "parse_failed", self.name, detail="no verdict in it")
        first = one.prompt == "q" or len(one.first) > len(one.second)
        return Verdict(one, "first" if first else "second", None, "", self.name)


def test_missing_verdicts_and_contradictions_are_counted(scripted, monkeypatch, capsys):
    judge = Contradicting()
    for module in (comparing, comparison_verdicts):
        monkeypatch.setattr(module, "load_judges", lambda *_: [judge])
    main(command({"Long": "long"}, "sft", *JUDGE))
    long, _ = table(scripted / "out")
    # p: aaaa wins both orders; q: whatever is first, a tie; r: one order cannot be read; s: ggg wins.
    found = [int(long[f"judge_{name}"]) for name in ("wins", "ties", "losses", "missing")]
    assert found == [2, 1, 0, 1]
    assert float(long["judge_win_rate"]) == 2.5 / 3
    assert (long["judge_verdicts"], long["judge_missing_verdicts"]) == ("8", "1")
    assert report(scripted / "out")["standings"][0]["missing"] == {"judge": {"parse_failed": 1}}
    printed = capsys.readouterr().out
    assert "1 of 8 verdicts parse_failed, such as: no verdict in it" in printed
    assert "judge 1 (parse_failed 1)" in printed
    assert len(judge.asked) == 8
    (pair,) = table(scripted / "out", "pairwise.csv")
    assert (pair["n"], pair["missing"]) == ("3", "1")


def test_one_order_asks_once_and_all_missing_is_no_number(scripted, monkeypatch):
    class Mute(Contradicting):
        def _verdict(self, one):
            self.asked.append(one)
            return Verdict(one, None, None, "refused", self.name)

    judge = Mute()
    for module in (comparing, comparison_verdicts):
        monkeypatch.setattr(module, "load_judges", lambda *_: [judge])
    main(command({"Long": "long"}, "sft", *JUDGE, "--both_orders", "false"))
    assert len(judge.asked) == 4
    long, _ = table(scripted / "out")
    assert (long["judge_win_rate"], long["judge_missing_verdicts"]) == ("", "4")
    (pair,) = table(scripted / "out", "pairwise.csv")
    assert pair["p_value"] == ""


def test_alike_policies_tie_everywhere(tmp_path, monkeypatch, policy_folder, write_rows):
    monkeypatch.chdir(tmp_path)
    write_rows("prompts.jsonl", [{"prompt": prompt} for prompt in PROMPTS])
    same = command({"A": policy_folder, "B": policy_folder}, policy_folder, *LENGTH, *JUDGE)
    main([*same, "--samples", "3", "--drawing.max_new_tokens", "6"])
    samples = [path.read_bytes() for path in sorted((tmp_path / "out" / "samples").iterdir())]
    assert len(samples) == 3
    assert len(set(samples)) == 1
    for row in table(tmp_path / "out")[:2]:
        assert (float(row["length_win_rate"]), float(row["judge_win_rate"])) == (0.5, 0.5)
        assert int(row["length_ties"]) == 12
    pairs = table(tmp_path / "out", "pairwise.csv")
    assert len(pairs) == 9
    assert {(row["p_value"], row["adjusted"]) for row in pairs} == {("1.0", "1.0")}


def other_policy(folder, out):
    """Write a policy of other weights, and name its folder."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder).save_pretrained(out)
    return str(out)


def test_exchanging_a_policy_and_the_baseline_mirrors_everything(
    tmp_path, monkeypatch, policy_folder, write_rows
):
    monkeypatch.chdir(tmp_path)
    write_rows("prompts.jsonl", [{"prompt": f"prompt {number}"} for number in range(12)])
    other = other_policy(policy_folder, tmp_path / "other")
    options = (*LENGTH, *JUDGE, "--samples", "2", "--drawing.max_new_tokens", "24")
    letters = ("--scorers", '{"letters": "rule:pattern?pattern=[a-z]&count=true"}')
    options = (*letters, *JUDGE, *options[4:])
    main(command({"A": other}, policy_folder, *options, out="ab"))
    main(command({"A": policy_folder}, other, *options, out="ba"))
    (ab, _), (ba, _) = table(tmp_path / "ab"), table(tmp_path / "ba")
    assert 0 < float(ab["letters_win_rate"]) < 1
    for by in ("letters", "judge"):
        assert float(ab[f"{by}_win_rate"]) + float(ba[f"{by}_win_rate"]) == pytest.approx(1)
        assert float(ab[f"{by}_win_rate_low"]) + float(ba[f"{by}_win_rate_high"]) == pytest.approx(1)
        assert (ab[f"{by}_wins"], ab[f"{by}_losses"]) == (ba[f"{by}_losses"], ba[f"{by}_wins"])
    for one, swapped in zip(
        table(tmp_path / "ab", "pairwise.csv"), table(tmp_path / "ba", "pairwise.csv"), strict=True
    ):
        assert float(one["difference"]) == pytest.approx(-float(swapped["difference"]))
        assert float(one["p_value"]) == pytest.approx(float(swapped["p_value"]))


class Killed(BaseException):
    """What ends a run as a kill does: nothing of ours may catch it."""


def dying(function, calls):
    """Return a function that works so many times and then ends the run."""
    left = [calls]

    def called(*arguments, **named):
        if not left[0]:
            raise Killed
        left[0] -= 1
        return function(*arguments, **named)

    return called


@pytest.mark.parametrize(
    ("module", "name", "calls"),
    [
        (generating, "_output", 5),  # while the second policy is sampled
        (comparison_samples, "scores_of", 1),
        (comparison_verdicts, "write_rows", 1),
        (comparing, "draw_comparison", 0),
        (comparing, "write_json", 0),
    ],
)
def test_a_killed_run_goes_on_to_the_same_bytes(scripted, monkeypatch, module, name, calls):
    whole = command(*TWO, "--samples", "2", *LENGTH, *JUDGE)
    main(whole)
    undisturbed = contents(scripted / "out")
    (scripted / "out").rename(scripted / "before")
    (scripted / "out.ledger").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(module, name, dying(getattr(module, name), calls))
        with pytest.raises(Killed):
            main(whole)
    assert not (scripted / "out" / "report.json").exists()
    main(whole)
    assert contents(scripted / "out") == undisturbed


def test_what_is_there_is_neither_loaded_nor_asked_again(scripted, monkeypatch, capsys):
    whole = command(*TWO, "--samples", "2", *LENGTH, *JUDGE)
    main(whole)
    (scripted / "out" / "report.json").unlink()

    def refuse(*_):
        raise AssertionError("was there already")

    with monkeypatch.context() as patch:
        patch.setattr(comparison_samples, "load_policy", refuse)
        patch.setattr(comparison_samples, "load_scorer", refuse)
        patch.setattr(comparison_verdicts, "load_judges", refuse)
        main(whole)
    assert "exists and is finished" in refused(capsys, *whole)
    before = contents(scripted / "out")
    with monkeypatch.context() as patch:  # what the ledger holds outlives the folder
        patch.setattr(RewardJudge, "compare", refuse)
        main([*whole, "--overwrite"])
    assert contents(scripted / "out") == before


def test_a_plan_asks_nothing_and_the_run_goes_on_from_it(scripted, capsys):
    whole = command(*TWO, *LENGTH, *JUDGE)
    main([*whole, "--plan"])
    assert "Long: This judge runs here" in capsys.readouterr().out
    assert not (scripted / "out.ledger").exists()
    assert not (scripted / "out" / "verdicts").exists()
    main([*whole, "--budget", "3"])
    assert (scripted / "out" / "report.json").exists()


def test_a_judge_that_costs_is_never_paid_twice(scripted, monkeypatch, capsys):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving() as url:
        asking = ("--base_url", url, "--judges", '{"LLM": "openai:scripted", "again": "openai:scripted"}')
        whole = command(*TWO, "--samples", "2", *asking)
        main([*whole, "--plan"])
        assert "14 " in capsys.readouterr().out
        assert statistics(url)["calls"] == 0
        main(whole)
        # Both orders of the pairs that differ, 7 of Long and 5 of Mixed, of which both have bbbb and bbb; the
        # judge's second name costs nothing.
        assert statistics(url)["calls"] == 2 * (7 + 5 - 1)
        capsys.readouterr()
        before = contents(scripted / "out")
        main([*whole, "--overwrite"])
        assert statistics(url)["calls"] == 2 * (7 + 5 - 1)
        assert contents(scripted / "out") == before
    rates = {name: one["mean"] for name, one in report(scripted / "out")["standings"][0]["win_rates"].items()}
    assert rates["LLM"] == rates["again"]


class Broken:
    """A scorer that breaks its promise."""

    def score(self, generations):
        return [Score(1.0)] * (len(generations) - 1)


def test_wrong_names_and_sources_are_one_line(scripted, capsys):
    def told(policies, *more):
        return refused(capsys, *command(policies, "sft", *more))

    one = {"Long": "long"}
    assert "got 'a/b'" in told({"a/b": "long"}, *LENGTH)
    assert "got ''" in told({"": "long"}, *LENGTH)
    assert "'sft' and 'SFT'" in told({"sft": "long"}, *LENGTH)
    assert "'x' and 'x'" in told(
        one, "--scorers", '{"x": "rule:length"}', "--judges", '{"x": "reward:rule:length"}'
    )
    assert "scorers or judges" in told(one)
    assert "policies names the policies" in told({}, *LENGTH)
    assert "rule:nothing" in told(one, "--scorers", '{"x": "rule:nothing"}')
    assert "names no judge" in told(one, "--judges", '{"x": "somebody"}')
    assert "samples is 1 or more" in told(one, *LENGTH, "--samples", "0")
    assert "level is between 0 and 1" in told(one, *LENGTH, "--level", "1")
    assert "lies in out" in told(one, *JUDGE, "--ledger", "out/ledger")
    assert "prompts.jsonl is an input" in refused(capsys, *command(one, "sft", *LENGTH, out="."))
    assert not (scripted / "out").exists()


@pytest.mark.usefixtures("scripted")
def test_a_scorer_that_breaks_its_promise_is_named_and_what_was_made_is_kept(monkeypatch, capsys):
    whole = command({"Long": "long"}, "sft", *LENGTH)
    with monkeypatch.context() as patch:
        patch.setattr(comparison_samples, "load_scorer", lambda _: Broken())
        assert "length of Long: returned 3 scores for 4 responses" in refused(capsys, *whole)
    main(whole)
    failing = command({"Long": "long"}, "sft", "--scorers", '{"x": "rule:exact?column=answer"}', out="other")
    assert "prompts.jsonl:1" in refused(capsys, *failing)


def test_policies_that_cannot_answer_are_refused_before_anything_is_made(
    tmp_path, monkeypatch, capsys, policy_folder, write_rows
):
    monkeypatch.chdir(tmp_path)
    write_rows("prompts.jsonl", [{"prompt": "p"}, {"prompt": "p" * 60}])
    whole = command({"A": policy_folder}, policy_folder, *LENGTH)
    assert refused(capsys, *whole).startswith("evalkit: prompts.jsonl:2, for A: ")
    missing = command({"A": policy_folder, "B": "nowhere/at/all"}, policy_folder, *LENGTH, "--limit", "1")
    assert "nowhere/at/all" in refused(capsys, *missing)
    assert [path.name for path in Path.cwd().iterdir()] == ["prompts.jsonl"]
