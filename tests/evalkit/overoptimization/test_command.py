"""The commands `overopt` and `fit`, from files to files."""

import csv
import json

import numpy as np
import pytest

from evalkit.cli import main
from evalkit.overoptimization import config, pool
from evalkit.overoptimization import fit as table
from evalkit.overoptimization import overopt as best_of_n
from rewards.errors import ConfigError, DataError, OutputExistsError, ScoringError
from rewards.records import Score

ALL = ("curve.csv", "curve.png", "fit.json", "inputs.json", "run.json", "scores.jsonl")


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def samples(prompts=24, count=64):
    """Return rows whose gold `g` turns early under proxy `p` and never under proxy `g`."""
    rng = np.random.default_rng(0)
    for prompt in range(prompts):
        p = rng.normal(size=count).round(4)
        g = (p - 0.8 * np.maximum(p - 0.3, 0) ** 2 + 0.5 * rng.normal(size=count)).round(4)
        responses = [f"answer {index}" for index in range(count)]
        yield {"prompt": f"question {prompt}", "responses": responses, "p": p.tolist(), "g": g.tolist()}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "samples.jsonl", samples())


def overopt(data, out, **settings):
    settings = {"proxy": "column:p", "gold": "column:g", "bootstrap": 200} | settings
    best_of_n.run(config.Overopt(data=data, out=str(out), **settings))
    return json.loads((out / "fit.json").read_text(encoding="utf-8"))


def points(path, rows, header="d,gold"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(path)


def test_curve_fit_and_figure_are_written_and_told(data, tmp_path, capsys):
    fit = overopt(data, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(ALL)
    assert (tmp_path / "out" / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert 1 < fit["peak_n_interval"][0] < fit["peak_n"] < fit["peak_n_interval"][1] < 64
    assert fit["peak_d"] == pytest.approx(fit["alpha"] / (2 * fit["beta"]))
    with (tmp_path / "out" / "curve.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["n"]) for row in rows] == [1, 2, 4, 8, 16, 32, 64]
    assert float(rows[0]["gold"]) == 0
    largest = [max(zip(row["p"], row["g"], strict=True))[1] for row in samples()]
    mean = np.mean([row["g"] for row in samples()])
    assert float(rows[-1]["gold"]) == pytest.approx(np.mean(largest) - mean)
    told = capsys.readouterr().out
    assert "Fitted peak: n* = " in told
    assert str(tmp_path / "out" / "curve.png") in told


def test_no_peak_is_said_where_there_is_none(data, tmp_path, capsys):
    fit = overopt(data, tmp_path / "out", proxy="column:g")
    assert fit["peak_d"] is None
    assert fit["peak_n"] is None
    assert fit["note"]
    assert "The data determine no peak" in capsys.readouterr().out


def test_one_row_a_sample_gives_the_same_curve(data, tmp_path):
    single = [
        {"prompt": row["prompt"], "response": response, "p": p, "g": g}
        for row in samples()
        for response, p, g in zip(row["responses"], row["p"], row["g"], strict=True)
    ]
    scattered = [single[index] for index in np.random.default_rng(1).permutation(len(single))]
    overopt(data, tmp_path / "lists")
    overopt(write(tmp_path / "single.jsonl", single), tmp_path / "single")
    rows = overopt(write(tmp_path / "scattered.jsonl", scattered), tmp_path / "scattered")
    curve = (tmp_path / "lists" / "curve.csv").read_bytes()
    assert (tmp_path / "single" / "curve.csv").read_bytes() == curve
    assert rows["samples"] == 24 * 64


def test_several_proxies_make_a_curve_each_with_gold_in_its_own_order(data, tmp_path):
    both = overopt(data, tmp_path / "both", proxy=["column:p", "column:g"])
    assert [curve["proxy"] for curve in both["curves"]] == ["column:p", "column:g"]
    for curve in both["curves"]:
        alone = overopt(data, tmp_path / curve["proxy"].replace(":", "-"), proxy=curve["proxy"])
        assert curve == alone
    assert both["curves"][0]["alpha"] != both["curves"][1]["alpha"]


class Counting:
    """Scores by the response's number, and counts what it was asked."""

    asked = 0
    fail_at = -1

    def score(self, generations):
        if 0 <= Counting.fail_at <= Counting.asked:
            raise ScoringError("the scorer gave up")
        Counting.asked += len(generations)
        return [Score(float(generation.response.split()[1])) for generation in generations]


@pytest.fixture
def counting(monkeypatch):
    Counting.asked, Counting.fail_at = 0, -1
    monkeypatch.setattr(best_of_n, "load_scorer", lambda _: Counting())
    monkeypatch.setattr(pool, "CHUNK", 256)
    return Counting


def test_other_settings_reuse_the_scores_and_other_inputs_do_not(counting, tmp_path):
    data = write(tmp_path / "samples.jsonl", samples(8))
    overopt(data, tmp_path / "out")
    assert counting.asked == 2 * 8 * 64
    with pytest.raises(OutputExistsError, match="overwrite"):
        overopt(data, tmp_path / "out")
    fit = overopt(data, tmp_path / "out", bootstrap=50, n=[2, 4, 8], overwrite=True)
    assert counting.asked == 2 * 8 * 64
    assert fit["bootstrap"] == 50
    write(tmp_path / "samples.jsonl", samples(4))
    overopt(data, tmp_path / "out", overwrite=True)
    assert counting.asked == 2 * 12 * 64
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(ALL)
    assert not list(tmp_path.glob(".*"))


def test_scores_set_aside_when_a_kill_struck_are_found_again(counting, tmp_path):
    data, out = write(tmp_path / "samples.jsonl", samples(2)), tmp_path / "out"
    overopt(data, out)
    (tmp_path / ".out.scores").mkdir()
    for name in ("scores.jsonl", "inputs.json"):
        (out / name).replace(tmp_path / ".out.scores" / name)
    overopt(data, out, overwrite=True)
    assert counting.asked == 2 * 2 * 64
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "samples.jsonl"]


def test_a_retrained_model_under_the_same_name_is_scored_anew(counting, tmp_path):
    data, model = write(tmp_path / "samples.jsonl", samples(2)), tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("first", encoding="utf-8")
    overopt(data, tmp_path / "out", proxy=str(model))
    (model / "weights").write_text("second", encoding="utf-8")
    overopt(data, tmp_path / "out", proxy=str(model), overwrite=True)
    assert counting.asked == 2 * (2 * 2 * 64)


def test_an_interrupted_run_goes_on_and_ends_the_same(counting, tmp_path):
    data = write(tmp_path / "samples.jsonl", samples(12))
    overopt(data, tmp_path / "undisturbed")
    counting.asked, counting.fail_at = 0, 3 * 256  # in the middle of the second of three chunks
    with pytest.raises(ScoringError):
        overopt(data, tmp_path / "out")
    assert not (tmp_path / "out" / "fit.json").exists()
    counting.asked, counting.fail_at = 0, -1
    overopt(data, tmp_path / "out")
    assert counting.asked == 2 * 2 * 256
    for name in ("scores.jsonl", "curve.csv", "fit.json", "curve.png"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


def test_changed_data_are_not_mixed_with_scores_begun(counting, tmp_path):
    data = write(tmp_path / "samples.jsonl", samples(12))
    counting.fail_at = 3 * 256
    with pytest.raises(ScoringError):
        overopt(data, tmp_path / "out")
    counting.asked, counting.fail_at = 0, -1
    write(tmp_path / "samples.jsonl", samples(6))
    with pytest.raises(OutputExistsError, match="other data"):
        overopt(data, tmp_path / "out")
    overopt(data, tmp_path / "out", overwrite=True)
    assert counting.asked == 2 * 6 * 64


@pytest.mark.parametrize(
    ("settings", "error", "named"),
    [
        ({"proxy": "column:absent"}, ScoringError, "'absent'"),
        ({"n": [128]}, ConfigError, "n = 128 .* has 64"),
        ({"proxy": ["column:p", "column:p"]}, ConfigError, "different"),
        ({"proxy": []}, ConfigError, "different"),
        ({"proxy": "nothing:known"}, ConfigError, "nothing:known"),
        ({"bootstrap": 0}, ConfigError, "bootstrap"),
        ({"level": 95}, ConfigError, "level"),
        ({"rename": {"g": "gold"}, "gold": "column:g"}, ScoringError, "'g'"),
    ],
)
def test_what_cannot_be_leaves_nothing_behind(data, tmp_path, settings, error, named):
    with pytest.raises(error, match=named):
        overopt(data, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_sample_without_a_score_is_named_by_its_place(tmp_path):
    rows = list(samples(3, count=4))
    rows[1]["p"] = None
    data = write(tmp_path / "samples.jsonl", rows)
    with pytest.raises(ScoringError, match=r"samples\.jsonl:2'?: column 'p'"):
        overopt(data, tmp_path / "out")
    single = [
        {"prompt": f"q{number % 2}", "response": f"r{number}", "p": number, "g": 1.0, "id": f"own {number}"}
        for number in range(8)
    ]
    del single[6]["g"]
    data = write(tmp_path / "single.jsonl", single)
    with pytest.raises(ScoringError, match=r"single\.jsonl:7'?: column 'g'"):
        overopt(data, tmp_path / "out")


def test_shortened_prompts_are_counted(tmp_path, monkeypatch, capsys):
    class Cutting(Counting):
        truncated = 0

        def score(self, generations):
            self.truncated += sum(one.response.endswith(" 1") for one in generations)
            return super().score(generations)

    scorers = {"short": Cutting(), "long": Counting()}
    monkeypatch.setattr(Counting, "asked", 0)
    monkeypatch.setattr(best_of_n, "load_scorer", scorers.__getitem__)
    data = write(tmp_path / "samples.jsonl", samples(3, count=4))
    overopt(data, tmp_path / "out", proxy="short", gold="long")
    said = capsys.readouterr().out
    assert "short: 3 responses were scored with a shortened prompt" in said
    assert said.count("with a shortened prompt") == 1


def test_unequal_prompts_are_refused_with_the_remedy(tmp_path):
    rows = [*samples(2, count=8), {**next(samples(1, count=4)), "prompt": "short one"}]
    data = write(tmp_path / "samples.jsonl", rows)
    with pytest.raises(ConfigError, match=r"samples\.jsonl:3: prompt 'short one' has 4 .* --n \[1,2,4\]"):
        overopt(data, tmp_path / "out")
    assert overopt(data, tmp_path / "out", n=[1, 2, 4])["samples"] == 20


def test_a_folder_of_something_else_is_left_alone(data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError):
            overopt(data, tmp_path / "out", overwrite=overwrite)
    assert (tmp_path / "out" / "thesis.tex").read_text(encoding="utf-8") == "years of work"


def test_fit_of_a_table(tmp_path, capsys):
    d = np.linspace(0.25, 3, 12)
    rows = [f"{x**2},{x * (1 - 0.3 * x)}" for x in d]
    table.run(config.Fit(data=points(tmp_path / "t.csv", rows, "kl,gold"), out=str(tmp_path / "fit")))
    fit = json.loads((tmp_path / "fit" / "fit.json").read_text(encoding="utf-8"))
    assert (fit["alpha"], fit["beta"]) == pytest.approx((1, 0.3))
    assert fit["peak_d"] == pytest.approx(5 / 3)
    assert (tmp_path / "fit" / "fit.png").read_bytes().startswith(b"\x89PNG")
    assert "alpha" in capsys.readouterr().out


def test_fit_takes_columns_by_other_names(tmp_path):
    rows = [f"{x},{x * (1 - 0.3 * x)}" for x in np.linspace(0.25, 3, 12)]
    data = points(tmp_path / "t.csv", rows, "distance,reward")
    with pytest.raises(DataError, match="no column 'd'"):
        table.run(config.Fit(data=data, out=str(tmp_path / "fit")))
    main(
        [
            *("fit", "--data", data, "--out", str(tmp_path / "fit")),
            *("--rename", '{"distance": "d", "reward": "gold"}'),
        ]
    )
    fit = json.loads((tmp_path / "fit" / "fit.json").read_text(encoding="utf-8"))
    assert (fit["alpha"], fit["beta"]) == pytest.approx((1, 0.3))


def test_fit_of_groups_follows_the_logarithm_of_their_size(tmp_path):
    rows = [
        f"{size},{x},{x * ((0.1 * np.log(size) - 0.2) - (0.5 - 0.02 * np.log(size)) * np.log(x))}"
        for size in (1000, 10_000, 100_000)
        for x in np.linspace(0.5, 6, 8)
    ]
    settings = config.Fit(
        data=points(tmp_path / "t.csv", rows, "size,d,gold"),
        out=str(tmp_path / "fit"),
        form="rl",
        group="size",
    )
    table.run(settings)
    fit = json.loads((tmp_path / "fit" / "fit.json").read_text(encoding="utf-8"))
    assert [group["group"] for group in fit["groups"]] == ["1000", "10000", "100000"]
    assert fit["alpha_by_ln_size"]["slope"] == pytest.approx(0.1)
    assert fit["alpha_by_ln_size"]["intercept"] == pytest.approx(-0.2)
    assert fit["beta_by_ln_size"]["slope"] == pytest.approx(-0.02)
    assert fit["beta_by_ln_size"]["slope_interval"] == pytest.approx([-0.02, -0.02])


def test_two_sizes_have_a_trend_without_interval_and_names_none(tmp_path, capsys):
    rows = [f"{group},{x},{x * (group - 0.3 * x)}" for group in (1, 2) for x in (1, 2, 3)]
    table.run(
        config.Fit(
            data=points(tmp_path / "t.csv", rows, "size,d,gold"), out=str(tmp_path / "a"), group="size"
        )
    )
    fit = json.loads((tmp_path / "a" / "fit.json").read_text(encoding="utf-8"))
    assert fit["alpha_by_ln_size"]["slope_interval"] is None
    assert "three or more" in capsys.readouterr().out
    named = [f"{name},{x},{x}" for name in ("small", "large") for x in (1, 2, 3)]
    table.run(
        config.Fit(
            data=points(tmp_path / "n.csv", named, "size,d,gold"), out=str(tmp_path / "b"), group="size"
        )
    )
    assert "alpha_by_ln_size" not in json.loads((tmp_path / "b" / "fit.json").read_text(encoding="utf-8"))


def test_overopt_feeds_fit(data, tmp_path):
    fit = overopt(data, tmp_path / "out")
    table.run(config.Fit(data=str(tmp_path / "out" / "curve.csv"), out=str(tmp_path / "fit")))
    again = json.loads((tmp_path / "fit" / "fit.json").read_text(encoding="utf-8"))
    assert (again["alpha"], again["beta"]) == pytest.approx((fit["alpha"], fit["beta"]))


def test_weights_count(tmp_path):
    rows = ["1,1,1", "2,1,1", "3,0,1", "3,100,0"]
    table.run(config.Fit(data=points(tmp_path / "t.csv", rows, "d,gold,weight"), out=str(tmp_path / "fit")))
    fit = json.loads((tmp_path / "fit" / "fit.json").read_text(encoding="utf-8"))
    assert fit["points"] == 3
    assert fit["alpha"] < 3


@pytest.mark.parametrize(
    ("header", "rows", "group", "named"),
    [
        ("x,gold", ["1,1"], "", r"t\.csv:2: no column 'd'"),
        ("d,y", ["1,1"], "", r"t\.csv:2: no column 'gold'"),
        ("d,gold", ["1,1", "2,nan"], "", r"t\.csv:3: field 'gold': expected a finite number"),
        ("d,gold", ["1,1", "2,much"], "", r"t\.csv:3: field 'gold'"),
        ("kl,gold", ["1,1", "-2,1"], "", r"t\.csv:3: field 'kl': expected a number from 0, got -2"),
        ("d,gold,weight", ["1,1,-1"], "", r"t\.csv:2: field 'weight'"),
        ("d,gold", ["1,1"], "", r"t\.csv: .* two distances"),
        ("size,d,gold", ["7,1,1", "7,2,1", "8,1,1"], "size", r"t\.csv: size '8': .* two distances"),
        ("size,d,gold", ["7,1,1", ",2,1"], "size", r"t\.csv:3: field 'size'"),
        ("d,gold", ["1,1"], "size", r"t\.csv:2: no column 'size'"),
    ],
)
def test_bad_tables_are_named_by_file_and_line(tmp_path, header, rows, group, named):
    data = points(tmp_path / "t.csv", rows, header)
    with pytest.raises(DataError, match=named):
        table.run(config.Fit(data=data, out=str(tmp_path / "fit"), group=group))
    assert not (tmp_path / "fit").exists()


def test_command_line_ends_with_2_and_one_line(data, tmp_path, capsys):
    command = [
        "overopt",
        "--data",
        data,
        "--gold",
        "column:g",
        "--out",
        str(tmp_path / "out"),
        "--bootstrap",
        "50",
    ]
    main([*command, "--proxy", "[column:p, rule:length?unit=words]"])
    assert (tmp_path / "out" / "fit.json").exists()
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--proxy", "column:p", "--n", "[2,1000]", "--overwrite", "true"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "out" / "fit.json").exists()
