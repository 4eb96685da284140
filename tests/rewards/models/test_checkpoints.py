import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from rewards.config import BodyConfig, LoraConfig
from rewards.errors import MissingFileError, ModelError
from rewards.models.bodies import make_classifier as make_body
from rewards.models.checkpoint import load_classifier, save, start_classifier
from rewards.models.hub import _hub_answers, check_model_name, load_tokenizer
from rewards.models.outcome import RewardModel
from rewards.models.sidecar import SIDECAR, Scale, Sidecar, read_sidecar, tokenizer_hash, write_sidecar
from rewards.records import Generation
from rewards.scorers.loading import load_model_scorer
from rewards.specs import parse_spec
from rewards.training.fitting import add_adapters

ROWS = [[0, 5, 6, 7, 1], [0, 5, 6, 8, 9, 1]]


def scorer(text):
    return load_model_scorer(parse_spec(str(text), []))


@pytest.fixture
def folder(tmp_path, make_classifier, make_tokenizer):
    """A folder as training leaves it."""
    tokenizer = make_tokenizer()
    sidecar = Sidecar(tokenizer_hash=tokenizer_hash(tokenizer), scale=Scale(0.5, 2.0))
    save(RewardModel(make_classifier()), tokenizer, tmp_path / "model", sidecar)
    return tmp_path / "model"


def test_a_folder_of_ours_is_an_ordinary_one(folder, make_classifier):
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    for name, weight in make_classifier().state_dict().items():
        assert torch.equal(model.state_dict()[name], weight), name
    assert "evalkit" not in (folder / "config.json").read_text()
    assert json.loads((folder / SIDECAR).read_text())["append_eos"] is True
    assert read_sidecar(str(folder)).scale == Scale(0.5, 2.0)
    assert not list(folder.glob("*.partial"))


def test_a_body_without_a_trained_head_is_refused(tmp_path, make_classifier, make_tokenizer):
    AutoModelForCausalLM.from_config(make_classifier().config).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"no trained head \(score\.weight"):
        scorer(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    for key in ("num_labels", "id2label", "label2id"):  # as a language model's folder usually is: two labels
        settings.pop(key, None)
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=r"no trained head"):
        load_classifier(str(tmp_path))
    assert start_classifier(str(tmp_path)).config.num_labels == 1  # training may start from it


def test_several_labels_are_refused(tmp_path, make_classifier, make_tokenizer):
    make_classifier(labels=2).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has 2 labels; an outcome reward model has one"):
        scorer(tmp_path)


def test_training_does_not_start_from_half_a_body(tmp_path, make_classifier):
    model = make_classifier()
    weights = {name: weight for name, weight in model.state_dict().items() if "layers.1.mlp" not in name}
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(ModelError, match=r"missing from the checkpoint: model\.layers\.1\.mlp"):
        start_classifier(str(tmp_path))


@pytest.mark.parametrize("change", ["template", "eos", "vocabulary"])
def test_a_tokenizer_that_changed_is_refused(folder, make_tokenizer, change):
    tokenizer = make_tokenizer(chat=change == "template", add_bos=change != "vocabulary")
    if change == "eos":
        tokenizer.eos_token = "<pad>"
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="not the one it was trained with"):
        scorer(folder)


@pytest.mark.parametrize(
    "broken",
    ["{", "[]", '{"kind": "outcome"}', '{"scale": {}, "colour": 1}', '{"scale": {"mean": 0, "size": 1}}'],
)
def test_a_broken_description_is_refused(folder, broken):
    (folder / SIDECAR).write_text(broken)
    with pytest.raises(ModelError, match=r"evalkit\.json: not a description"):
        scorer(folder)


def test_weights_cut_short_are_refused(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="no reward model there"):
        scorer(folder)


def test_nothing_there_is_said_in_one_line(tmp_path):
    with pytest.raises(ModelError, match="no tokenizer there"):
        scorer(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "./m",
        "../m",
        "/m/n",
        "~/m",
        "runs/a/model",
        "runs//m",
        "m/",
        "a b",
        "owner/na me",
        "-m",
        "müll",
        "a\\b",
        "",
    ],
)
def test_a_path_that_is_no_folder_is_never_looked_for_on_the_hub(name, monkeypatch):
    monkeypatch.setattr("rewards.models.hub._hub_answers", lambda: pytest.fail("asked the Hub"))
    for load in (check_model_name, load_tokenizer, load_classifier, start_classifier):
        with pytest.raises(MissingFileError, match=r"no such folder$"):
            load(name)


def test_hub_ids_and_folders_are_names(tmp_path):
    for name in ("gpt2", "Qwen/Qwen3-0.6B", "owner/name_1.0", str(tmp_path), f"{tmp_path}/", "."):
        check_model_name(name)


def test_a_hub_out_of_reach_is_said_soon_in_one_line(monkeypatch, capfd):
    monkeypatch.setattr("rewards.models.hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("waited for another try"))
    _hub_answers.cache_clear()
    with pytest.raises(ModelError, match=r"^nobody/nothing: no such folder, and no .* out of reach"):
        load_tokenizer("nobody/nothing")
    _hub_answers.cache_clear()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("status", [200, 503])
def test_a_hub_that_answers_is_reached(monkeypatch, status):
    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("rewards.models.hub.constants.ENDPOINT", address)
        assert _hub_answers.__wrapped__() is True
    monkeypatch.setattr("rewards.models.hub.constants.HF_HUB_OFFLINE", True)
    assert _hub_answers.__wrapped__() is False


@pytest.fixture
def base(tmp_path, make_classifier, make_tokenizer):
    """A language model whose padding token is EOS, and which has no room for another."""
    path = tmp_path / "base"
    AutoModelForCausalLM.from_config(make_classifier(pad=1).config).save_pretrained(path)
    make_tokenizer(pad="</s>").save_pretrained(path)
    return path


def adapted(classifier):
    """Adapters with weights other than their first ones, which change nothing."""
    model = add_adapters(classifier, LoraConfig(rank=2), 0)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                weight.normal_(0, 0.3)
    return RewardModel(model).eval()


@pytest.mark.parametrize("merged", [True, False])
def test_adapters_give_the_same_logits_after_saving(tmp_path, base, merged):
    classifier, tokenizer = make_body(BodyConfig(name=str(base)), 0)
    model = adapted(classifier)
    texts = [Generation("What is", " the capital"), Generation("Why", " is the sky blue?")]
    rows = [[*tokenizer(one.prompt + one.response)["input_ids"], tokenizer.eos_token_id] for one in texts]
    with torch.no_grad():
        before = model(None, rows).tolist()
    sidecar = Sidecar(tokenizer_hash=tokenizer_hash(tokenizer))
    out = tmp_path / "out"
    if merged:
        save(model, tokenizer, out, sidecar)
        assert not (out / "adapter_config.json").exists()
    else:
        model.classifier.save_pretrained(out)
        tokenizer.save_pretrained(out)
        write_sidecar(out, sidecar)
        assert not (out / "model.safetensors").exists()
    assert scorer(out).logits(texts) == pytest.approx(before, rel=1e-5, abs=1e-5)


def test_adapters_saved_without_their_head_are_refused(tmp_path, base):
    import peft

    settings = peft.LoraConfig(task_type=None, r=2, target_modules=["q_proj"])
    peft.get_peft_model(start_classifier(str(base)), settings).save_pretrained(tmp_path / "out")
    load_tokenizer(str(base)).save_pretrained(tmp_path / "out")
    with pytest.raises(ModelError, match="saved without their head"):
        scorer(tmp_path / "out")
    (tmp_path / "out" / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match="no adapters there"):
        scorer(tmp_path / "out")


@pytest.mark.parametrize("pad", ["</s>", "<pad>"])
def test_a_model_trained_by_trl_keeps_its_scores(tmp_path, base, make_tokenizer, plain_logits, pad):
    trl = pytest.importorskip("trl")
    tokenizer = make_tokenizer(pad=pad)
    data = {
        "prompt": ["What is it?", "Why"] * 2,
        "chosen": [" good", " blue"] * 2,
        "rejected": [" bad", " red"] * 2,
    }
    out = tmp_path / "trl"
    trainer = trl.RewardTrainer(
        model=AutoModelForSequenceClassification.from_pretrained(base, num_labels=1),
        args=trl.RewardConfig(
            output_dir=str(out),
            bf16=False,
            use_cpu=True,
            max_steps=3,
            learning_rate=1e-2,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            activation_checkpointing=False,
        ),
        train_dataset=Dataset.from_dict(data),
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_model(str(out))
    texts = ["What is it? good", "What is it? bad", "Why not"]
    theirs = plain_logits(out, texts, eos=True)
    generations = [Generation(text[:4], text[4:]) for text in texts]
    assert scorer(f"{out}?eos=true").logits(generations) == pytest.approx(theirs, rel=1e-5, abs=1e-5)
    without = plain_logits(out, texts)
    assert scorer(out).logits(generations) == pytest.approx(without, rel=1e-5, abs=1e-5)
    # Where padding is EOS, an EOS at the end is taken for padding, by Transformers and so by us.
    assert (theirs == pytest.approx(without, rel=1e-5, abs=1e-5)) == (pad == "</s>")
