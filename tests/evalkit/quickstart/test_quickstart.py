import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from evalkit.quickstart import command as quickstart
from evalkit.quickstart.config import Quickstart
from evalkit.quickstart.page import (
    Example,
    Part,
    ProxyFindings,
    QuickstartFindings,
    SelectionCurve,
    ShownAnswer,
    write_page,
)
from evalkit.runs.parsing import command_line
from evalkit.runs.steps import Step
from evalkit.testbeds.facts import FactsWorld
from evalkit.testbeds.facts_corpus import write_corpus
from evalkit.testbeds.facts_models import (
    SIZES,
    BaseSize,
    FactsExamination,
    make_base,
    make_tokenizer,
    train_base,
)
from evalkit.testbeds.world_models import Schooling, check_world
from evalkit.training.config import TrainOutcome
from rewards.config import TrainingConfig
from rewards.errors import ConfigError, ModelError, OutputExistsError

FILES = (
    "preferences.jsonl",
    "gold-pairs.jsonl",
    "samples.jsonl",
    "curves/curve.csv",
    "curves/fit.json",
    "best-by-large.jsonl",
    "proxy-small/model.safetensors",
    "proxy-large/model.safetensors",
    "index.html",
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A quickstart with hardly any training, in a folder of its own."""
    out = tmp_path_factory.mktemp("quick") / "run"
    config = Quickstart(out=str(out), prompts=4, samples=8, labels=32, updates=20)
    quickstart.run(config)
    return config


def contents(folder):
    return {name: (Path(folder) / name).read_bytes() for name in FILES}


def test_a_run_continued_after_steps_are_lost_gives_the_same_bytes(done, capsys):
    folder = Path(done.out)
    before = contents(folder)
    for name in ("index.html", "best-by-large.jsonl", "samples.jsonl", "preferences.jsonl"):
        (folder / name).unlink()
    (folder / "curves" / "fit.json").unlink()
    quickstart.run(done)
    printed = capsys.readouterr().out
    assert contents(folder) == before
    assert printed.count("done before") == 9
    assert str(folder / "index.html") in printed


def test_a_finished_run_is_shown_again_and_nothing_is_written(done):
    before = {path: path.stat().st_mtime_ns for path in Path(done.out).rglob("*") if path.name != "log.txt"}
    quickstart.run(done)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_another_configuration_is_refused_and_leaves_everything(done):
    before = contents(done.out)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        quickstart.run(replace(done, labels=33))
    assert contents(done.out) == before


def test_overwriting_starts_anew_where_another_configuration_was(done, tmp_path, monkeypatch):
    config = replace(done, out=str(tmp_path / "run"))
    made = []
    monkeypatch.setattr(quickstart, "steps", lambda config: [_step(config, made)])
    monkeypatch.setattr(quickstart, "_findings", lambda _: None)
    monkeypatch.setattr(quickstart, "_tell", lambda *_: None)
    monkeypatch.setattr(quickstart, "write_page", lambda _, path: path.write_text("page"))
    for seed, overwrite in ((0, False), (0, False), (1, True), (1, False), (1, True)):
        quickstart.run(replace(config, seed=seed, overwrite=overwrite))
    assert made == [0, 1, 1]


def _step(config, made):
    path = Path(config.out) / "file"

    def make():
        made.append(config.seed)
        path.write_text("")

    return Step("a step", path, make)


def test_the_models_are_ordinary_folders_with_their_world_beside_them(done):
    folder = Path(done.out)
    AutoModelForCausalLM.from_pretrained(folder / "policy")
    for name in ("proxy-small", "proxy-large"):
        assert AutoModelForSequenceClassification.from_pretrained(folder / name).config.num_labels == 1
    for name in ("policy", "base-small", "proxy-small", "proxy-large"):
        assert json.loads((folder / name / "world.json").read_text())["world"] == FactsWorld().hash
        check_world(FactsWorld(), folder / name)
        with pytest.raises(ModelError, match="world"):
            check_world(FactsWorld(seed=1), folder / name)
    with pytest.raises(ModelError, match=r"no world\.json"):
        check_world(FactsWorld(), folder / "curves")


def test_a_gate_that_was_missed_is_said(done, capsys):
    report = json.loads((Path(done.out) / "policy" / "world.json").read_text())["report"]
    assert report["passed"] is False
    assert report["updates"] == 20
    quickstart.run(done)
    assert "more --updates would teach it" in capsys.readouterr().out


def test_the_page_asks_nothing_of_the_network_and_shows_the_commands(done):
    page = (Path(done.out) / "index.html").read_text(encoding="utf-8")
    assert "http" not in page
    assert 'src="data:image/png;base64,' in page
    assert "<script" not in page
    for command in ("generate", "train outcome", "overopt", "evaluate", "select", "score"):
        assert f"<pre>evalkit {command} --" in page


def test_no_question_is_both_labelled_and_measured(done):
    folder = Path(done.out)

    def prompts(name):
        return {json.loads(line)["prompt"] for line in (folder / name).read_text().splitlines()}

    labelled = prompts("preferences.jsonl")
    assert len((folder / "preferences.jsonl").read_text().splitlines()) == done.labels
    assert not labelled & prompts("prompts.jsonl")
    assert not labelled & prompts("gold-pairs.jsonl")


@pytest.mark.parametrize("bad", [{"samples": 1}, {"prompts": 0}, {"labels": 3}, {"seed": -1}, {"updates": 0}])
def test_settings_that_cannot_be_are_refused(bad):
    with pytest.raises(ConfigError):
        Quickstart(**bad)


def test_the_gate_stops_the_training_and_is_recorded():
    seen = []
    schooling = Schooling(gate=0.0, every=2, most=50, cool_down=3, batch=8, documents=64)
    _, report = train_base(FactsWorld(), SIZES["S"], 0, schooling, lambda *told: seen.append(told))
    assert report.updates == 2 + 3
    assert report.passed
    assert [updates for updates, _ in seen] == [2, 4]
    schooling = replace(schooling, gate=1.01, most=6)
    _, report = train_base(FactsWorld(), SIZES["S"], 0, schooling, lambda *_: None)
    assert report.updates == 6
    assert not report.passed


def test_training_is_the_same_twice_and_leaves_the_global_generator_alone():
    schooling = Schooling(every=5, most=5, batch=8, documents=64)
    size = BaseSize(16, 1, 16, 1e-2, 1e-3)
    state = torch.get_rng_state()
    models = [train_base(FactsWorld(), size, 3, schooling, lambda *_: None)[0] for _ in range(2)]
    assert torch.equal(state, torch.get_rng_state())
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_examination_is_passed_by_one_who_knows_and_failed_by_one_who_knows_the_opposite():
    world, tokenizer = FactsWorld(), make_tokenizer()
    reviews = write_corpus(world, 60, np.random.default_rng(0))[1::2]
    right, wrong = tokenizer.convert_tokens_to_ids(["+", "-"])

    class Oracle:
        def __init__(self, sign):
            self.sign = sign

        def __call__(self, input_ids):
            logits = torch.zeros(*input_ids.shape, len(tokenizer))
            for row, review in enumerate(reviews):
                entity = world.question("Q" + review.prompt[1:]).entity
                words = tokenizer.convert_ids_to_tokens(input_ids[row])
                for place in range(1, len(words)):
                    if words[place - 1] in ("size", "weight", "age", "price", "speed", "fame"):
                        truth = world.value(entity, words[place - 1]) == words[place]
                        logits[row, place, right if truth else wrong] = self.sign
            return type("Output", (), {"logits": logits})

    examination = FactsExamination(world, reviews, tokenizer)
    assert examination.take(Oracle(1.0)) == (1.0, 1.0)
    assert examination.take(Oracle(-1.0)) == (0.0, 0.0)


def test_the_tokenizer_marks_the_beginning_and_round_trips(tmp_path):
    make_tokenizer().save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer("Q city oslo size ? A\nsize low .")["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] != tokenizer.eos_token_id
    assert tokenizer.decode(ids[7:]) == "size low ."
    assert len({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}) == 3
    assert tokenizer.unk_token_id not in ids
    assert make_base(SIZES["S"], 0, tokenizer).config.vocab_size == len(tokenizer)


def test_a_command_line_holds_what_differs_from_the_defaults():
    config = TrainOutcome(data="my data.jsonl", out="m", training=TrainingConfig(epochs=3, tensorboard=False))
    assert command_line("train outcome", config) == (
        "evalkit train outcome --data 'my data.jsonl' --out m "
        "--training.epochs 3 --training.tensorboard false"
    )


def test_the_page_escapes_and_reports_a_curve_without_a_turn(tmp_path):
    figure = tmp_path / "curve.png"
    figure.write_bytes(b"png")
    proxy = ProxyFindings(
        name="<b>",
        folder="f",
        weights=10,
        knows_facts=True,
        facts=1.0,
        agreement=0.7,
        pairs=9,
        gold_start=0.5,
        proxy_sd=2.0,
        curve=SelectionCurve((1, 2, 4), (0.0, 1.0, 2.0), (0.0, 0.25, 0.5)),
        fitted_n=None,
        fitted_n_interval=None,
        note="a & b",
    )
    answer = ShownAnswer("best", (Part("<i>", -1.0, "other"),), 1.0, 0.0, 0.0)
    found = QuickstartFindings(
        3, 1, 4, (proxy,), (Example("p < q", (answer,)),), (("t", "evalkit x > y"),), figure
    )
    write_page(found, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for raw in ("<b>", "<i>", "p < q", "a & b", "x > y"):
        assert raw not in page
    (sentence,) = found.sentences()
    assert "+0.50 to +1.00" in sentence
    assert "falls" not in sentence
