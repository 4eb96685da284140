import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.experiments.fine_grained import experiment
from evalkit.experiments.fine_grained.config import FineGrained
from evalkit.experiments.fine_grained.steps import FineGrainedTrial
from evalkit.experiments.fine_grained.tables import read_pool
from evalkit.testbeds.facts import ASPECTS, FactsWorld
from evalkit.testbeds.facts_corpus import CHOICE_NOISE, draw_questions, label_spans, write_answer
from evalkit.testbeds.facts_gold import grade
from rewards.encoding.segments import cut, segment_targets
from rewards.errors import ConfigError
from rewards.files import read_rows, span_labels

WORLD = FactsWorld()
SIZE = WORLD.value("oslo", "size")
FIGURES = ("quality.png", "trade_off.png", "curves.png")


def written(count, seed=0):
    rng = np.random.default_rng(seed)
    return [(WORLD.prompt(one), [write_answer(WORLD, one, rng, False)]) for one in draw_questions(count, rng)]


def test_spans_are_golds_segments_and_one_over_all_for_completeness():
    answer = f"size {SIZE} . glad ."
    (labels,) = label_spans(WORLD, [("Q city oslo size age ? A\n", [answer])])
    found = [(answer[span.start : span.end], span.aspect, round(span.label, 9)) for span in labels.spans]
    assert found == [
        (f"size {SIZE} .", "factuality", 1.0),
        ("glad .", "relevance", 0.6),
        (answer, "completeness", -0.3),
    ]


def test_each_segment_is_a_sentence_and_its_target_is_golds_score():
    for labels in label_spans(WORLD, written(200)):
        grading = grade(WORLD, labels.prompt, labels.response)
        assert cut(labels.response, "sentence") == tuple((one.start, one.end) for one in grading.segments)
        for aspect in ("relevance", "factuality"):
            targets = segment_targets(labels.response, labels.spans, aspect, "sentence", "regression")
            wanted = [one.score if one.aspect == aspect else 0.0 for one in grading.segments]
            assert targets == pytest.approx(wanted)


def test_noise_has_the_same_spread_in_every_sum_and_moves_no_span():
    samples = written(4000)
    exact = list(label_spans(WORLD, samples))
    noisy = list(label_spans(WORLD, samples, np.random.default_rng(1), CHOICE_NOISE))
    errors: dict[bool, list[float]] = {True: [], False: []}
    for true, told in zip(exact, noisy, strict=True):
        assert [replace(span, label=0.0) for span in true.spans] == [
            replace(span, label=0.0) for span in told.spans
        ]
        error = math.fsum(span.label for span in told.spans) - math.fsum(span.label for span in true.spans)
        errors[len(true.spans) > 4].append(error)
    for found in errors.values():
        assert len(found) > 500
        assert np.std(found) == pytest.approx(math.pi / math.sqrt(6), rel=0.1)
        assert abs(np.mean(found)) < 0.15


def test_noise_without_a_generator_is_refused():
    with pytest.raises(ConfigError, match=r"noise 0\.5"):
        list(label_spans(WORLD, written(1), noise=0.5))


def test_a_run_without_the_baseline_is_refused():
    with pytest.raises(ConfigError, match="preferences and spans"):
        FineGrained(methods=["ratings", "spans"], more=0)
    with pytest.raises(ConfigError, match="more 100"):
        FineGrained(methods=["preferences", "spans"], more=100)


def test_an_odd_number_of_answers_is_refused():
    with pytest.raises(ConfigError, match="pairs"):
        FineGrained(answers=[101], more=0)


@pytest.fixture(scope="module")
def done(tmp_path_factory, language_models):
    """The whole experiment with hardly any training, in a folder of its own."""
    folder = tmp_path_factory.mktemp("fine")
    config = FineGrained(
        work=language_models(folder / "work", "policy"),
        out=str(folder / "out"),
        seeds=[1],
        answers=[32],
        methods=["preferences", "ratings", "spans", "faults"],
        more=0,
        exact=0,
        prompts=3,
        samples=8,
        n=4,
        bounds=[0.0],
        updates=2,
    )
    experiment.run(config)
    return config


def table(config, name):
    with (Path(config.out) / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_small_run_writes_every_table_and_figure_and_goes_on_where_it_was(done, capsys):
    before = {name: table(done, name) for name in ("quality", "differences", "trade_off", "bounds", "cards")}
    capsys.readouterr()
    (Path(done.work) / "seed-1" / "scored-spans-32.jsonl").unlink()
    experiment.run(done)
    assert capsys.readouterr().out.count("seed-") == 1
    assert before == {name: table(done, name) for name in before}
    for name in FIGURES:
        assert (Path(done.out) / name).stat().st_size > 10_000
    settings = json.loads((Path(done.out) / "config.json").read_text(encoding="utf-8"))
    assert settings["configuration"]["seeds"] == [1]
    assert [method["name"] for method in settings["methods"]] == done.methods


def test_all_methods_learn_from_the_same_answers(done):
    folder = Path(done.work) / "seed-1"
    pairs = [row.values for row in read_rows(folder / "pairs.jsonl")]
    answers = [(pair["prompt"], pair[side]) for pair in pairs for side in ("chosen", "rejected")]
    for name in ("spans", "spans-exact"):
        labels = [span_labels(row) for row in read_rows(folder / f"{name}.jsonl")]
        assert [(one.prompt, one.response) for one in labels] == answers
    sums = [row.values for row in read_rows(folder / "sums-exact.jsonl")]
    assert [(row["prompt"], row["response"]) for row in sums] == answers
    for row in sums:
        grading = grade(WORLD, row["prompt"], row["response"])
        assert [row[name] for name in ASPECTS] == pytest.approx([grading.aspects[name] for name in ASPECTS])
        assert row["total"] == pytest.approx(grading.value)
    for pair in (row.values for row in read_rows(folder / "pairs-exact.jsonl")):
        better, worse = (grade(WORLD, pair["prompt"], pair[side]).value for side in ("chosen", "rejected"))
        assert better >= worse - 1e-9


def test_what_is_measured_adds_up(done):
    rows = table(done, "quality")
    found = {
        (row["method"], row["answers"], row["exact"], row["measure"]): float(row["mean"]) for row in rows
    }
    assert len(found) == len(rows) == (2 + len(done.methods) + 1) * 5
    for method, answers, exact, measure in found:
        if measure == "gold":
            parts = [found[method, answers, exact, name] for name in ASPECTS]
            assert found[method, answers, exact, "gold"] == pytest.approx(math.fsum(parts), abs=2e-4)
    best = found["gold", "", "True", "gold"]
    assert all(value <= best + 1e-9 for (*_, measure), value in found.items() if measure == "gold")
    for row in table(done, "differences"):
        if row["beyond"] != "preferences":
            continue
        key = (row["answers"], row["exact"], row["measure"])
        wanted = found[row["method"], *key] - found["preferences", *key]
        assert float(row["mean"]) == pytest.approx(wanted, abs=2e-4)


def test_faults_alone_charge_what_each_piece_lacks(done):
    trial = FineGrainedTrial(done, 1)
    pool = read_pool(trial)
    assert np.all(pool.scores["charged-32"] <= 0)
    pieces = np.array([
        [len(cut(answer, "sentence")) for answer in row.texts_in("responses")]
        for row in read_rows(trial.folder / "answers.jsonl")
    ])  # fmt: skip
    counted = {"relevance": pieces, "factuality": pieces, "completeness": np.ones_like(pieces)}
    for place, name in enumerate(ASPECTS):
        credit = pool.aspects["faults-32"][:, :, place]
        np.testing.assert_allclose(
            pool.aspects["charged-32"][:, :, place], (credit - counted[name]) / 2, atol=1e-9
        )


def test_golds_own_trade_off_goes_from_one_aspect_to_the_other(done):
    rows = [row for row in table(done, "trade_off") if row["method"] == "gold" and row["seed"] == "1"]
    assert [float(row["weight"]) for row in rows] == pytest.approx(np.linspace(0, 1, 21))
    relevance, factuality = ([float(row[name]) for row in rows] for name in ("relevance", "factuality"))
    assert relevance == sorted(relevance, reverse=True)
    assert factuality == sorted(factuality)


def test_gold_is_on_its_own_front(done):
    for row in table(done, "fronts"):
        if row["method"] == "gold":
            assert float(row["of_these_on_gold_front"]) == 1.0
