"""The whole path by commands alone, on a real small policy: generate, score twice, select, overopt."""

import csv
import json
import math
from itertools import groupby
from pathlib import Path

import pytest

from evalkit.cli import main
from rewards.files import read_rows

STORIES = Path(__file__).parents[3] / ".." / "shared" / "data" / "stories260k"
BEGINNINGS = (
    "Once upon a time, there was a little dog named",
    "One day, Lily went to the park with",
    "Tom had a big red ball. He",
    "The bird was sad because",
)
SAMPLES = 8

pytestmark = pytest.mark.skipif(
    not STORIES.exists(), reason="the policy stories260k is not beside the project"
)


def read(path: Path) -> list[dict[str, object]]:
    return [row.values for row in read_rows(path)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which every command has run once."""
    folder = tmp_path_factory.mktemp("pipeline")
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in BEGINNINGS))
    pairs = folder / "pairs.jsonl"
    rows = [
        {"prompt": text, "chosen": " He was happy.", "rejected": " He was sad."} for text in BEGINNINGS * 4
    ]
    pairs.write_text(
        "".join(json.dumps({**row, "prompt": f"{n} {row['prompt']}"}) + "\n" for n, row in enumerate(rows))
    )
    body = [
        "--body.tokenizer",
        str(STORIES),
        "--body.hidden_size",
        "16",
        "--body.heads",
        "2",
        "--body.layers",
        "1",
    ]
    training = ["--training.max_steps", "10", "--training.learning_rate", "1e-2"]
    model = str(folder / "reward")
    main(["train", "outcome", "--data", str(pairs), "--out", model, *body, *training])
    samples, once, twice = (str(folder / f"{name}.jsonl") for name in ("samples", "once", "twice"))
    settings = ["--n", str(SAMPLES), "--max_new_tokens", "24", "--seed", "1"]
    main(["generate", "--policy", str(STORIES), "--data", str(prompts), "--out", samples, *settings])
    main(["score", "--scorer", model, "--data", samples, "--out", once])
    main(["score", "--scorer", "rule:length", "--data", once, "--out", twice, "--column", "length"])
    main(["select", "--data", twice, "--out", str(folder / "best.jsonl")])
    rejection = ["--method", "rejection", "--k", "4", "--pairs", "first-round"]
    main(["select", "--data", twice, "--out", str(folder / "chosen.jsonl"), *rejection])
    scorers = ["--proxy", "column:score", "--gold", "column:length"]
    main(["overopt", "--data", twice, "--out", str(folder / "curve"), *scorers, "--bootstrap", "50"])
    return folder


def test_every_prompt_has_its_samples_and_each_sample_both_scores(folder):
    rows = read(folder / "twice.jsonl")
    assert [row["prompt"] for row in rows] == list(BEGINNINGS)
    for row in rows:
        assert len(row["responses"]) == len(row["scores"]) == SAMPLES
        assert row["lengths"] == [len(text) for text in row["responses"]]
        assert all(map(math.isfinite, row["scores"]))
    assert len({text for row in rows for text in row["responses"]}) > SAMPLES


def test_the_best_of_each_prompt_is_selected(folder):
    best = read(folder / "best.jsonl")
    for row, chosen in zip(read(folder / "twice.jsonl"), best, strict=True):
        assert chosen["prompt"] == row["prompt"]
        assert chosen["score"] == max(row["scores"])
        assert chosen["response"] == row["responses"][row["scores"].index(chosen["score"])]


def test_pairs_of_the_chosen_are_ordered_by_their_score(folder):
    pairs = read(folder / "chosen.jsonl")
    scores = {
        (row["prompt"], text): score
        for row in read(folder / "twice.jsonl")
        for text, score in zip(row["responses"], row["scores"], strict=True)
    }
    per_prompt = {prompt: len(list(rows)) for prompt, rows in groupby(pairs, lambda row: row["prompt"])}
    assert set(per_prompt) == set(BEGINNINGS)
    for pair in pairs:
        better, worse = (scores[pair["prompt"], pair[side]] for side in ("chosen", "rejected"))
        assert better - worse == pytest.approx(pair["reward_margin"])
        assert better >= worse


def test_the_curve_begins_at_nothing_and_its_proxy_ends_at_the_mean_of_the_best(folder):
    out = folder / "curve"
    with (out / "curve.csv").open(newline="") as file:
        points = list(csv.DictReader(file))
    assert [int(point["n"]) for point in points] == [1, 2, 4, 8]
    assert [float(points[0][name]) for name in ("d", "kl", "proxy", "gold")] == [0, 0, 0, 0]
    proxy = [float(point["proxy"]) for point in points]
    assert proxy == sorted(proxy)
    rows = read(folder / "twice.jsonl")
    start = sum(sum(row["scores"]) / SAMPLES for row in rows) / len(rows)
    best = sum(max(row["scores"]) for row in rows) / len(rows)
    assert proxy[-1] == pytest.approx(best - start)
    assert json.loads((out / "fit.json").read_text())["proxy_start"] == pytest.approx(start)
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in out.iterdir()} >= {"curve.csv", "curve.png", "fit.json", "scores.jsonl"}
