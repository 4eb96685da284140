"""Figures of policy runs: what a run has is drawn, what it lacks is left out, half a line hurts nothing."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from evalkit.policies.probe.panel import SampledResponse, panel
from evalkit.training.policy_figures import draw_panels, draw_policy_run


@pytest.fixture
def titles(monkeypatch):
    """The titles of what is drawn, figure by figure."""
    drawn = []
    save = Figure.savefig

    def noted(figure, *rest, **named):
        drawn.append([axes.get_title(loc="left") for axes in figure.axes])
        save(figure, *rest, **named)

    monkeypatch.setattr(Figure, "savefig", noted)
    return drawn


def looks(prefix, steps=4, rewards=("proxy", "gold"), extra=None):
    generator = np.random.default_rng(0)
    lines = []
    for step in range(steps):
        samples = []
        for _ in range(16):
            policy = -generator.exponential(1.0, 9)
            tokens = tuple(generator.integers(0, 9, 9).tolist())
            samples.append(SampledResponse(tokens, policy, policy - 0.1 * step, -policy, bool(step % 2)))
        told = panel(samples, {name: generator.normal(step, 1, 16) for name in rewards})
        lines.append(
            {"step": 10 * step, **{prefix + name: value for name, value in told.items()}, **(extra or {})}
        )
    return lines


def written(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_a_run_of_ppo_with_everything(tmp_path, titles):
    warned = {"warnings": ["KL explodes: 0 to 60 nats a response", "entropy is gone: $2 to $0.1"]}
    written(tmp_path / "probe.jsonl", looks("probe_", extra=warned))
    own = {"clip_fraction": 0.1, "value_clip_fraction": 0.0, "value_error": 0.5, "policy_loss": 0.1}
    lines = looks("rollout_", 60, ("proxy",), own)
    written(tmp_path / "metrics.jsonl", [line | {"kl_coefficient": line["step"]} for line in lines])
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 99')  # killed here
    draw_policy_run(tmp_path)
    assert (tmp_path / "panel.png").read_bytes().startswith(b"\x89PNG")
    assert [one.split(",")[0] for one in titles[0]] == [
        "proxy reward",
        "gold reward",
        "KL to the reference",
        "length",
        "perplexity",
        "entropy",
        "repeated 3-grams",
        "loss",
        "clipped share of ratios and values",
        "value error (root mean square)",
        "KL coefficient",
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"panel.png", "probe.jsonl", "metrics.jsonl"}


def test_a_run_of_the_trainer_without_a_probe(tmp_path, titles):
    written(
        tmp_path / "metrics.jsonl", [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "eval_loss": 1.5}]
    )
    draw_policy_run(tmp_path)
    assert titles == [["loss"]]


def test_a_coefficient_that_stays_is_not_drawn_and_nothing_makes_no_figure(tmp_path, titles):
    draw_policy_run(tmp_path)
    assert not titles
    written(
        tmp_path / "metrics.jsonl", [{"step": step, "loss": 2.0, "kl_coefficient": 0.05} for step in (1, 2)]
    )
    draw_policy_run(tmp_path)
    assert titles == [["loss"]]


def test_runs_over_each_other_with_their_seeds(tmp_path, titles):
    runs = {
        "plain": [{"step": step, "probe_gold": step + seed} for step in (0, 1, 2) for seed in (0, 1, 2)],
        "PPO-max": [{"step": step, "probe_gold": 2.0 * step, "probe_kl": 1.0} for step in (0, 1, 2)],
    }
    draw_panels(runs, ["probe_gold", "probe_kl", "probe_length"], tmp_path / "runs.svg")
    assert titles == [["gold reward", "KL to the reference, nats a response: k1"]]
    assert (tmp_path / "runs.svg").stat().st_size
    draw_panels(runs, ["probe_length"], tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()
