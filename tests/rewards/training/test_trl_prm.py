import torch
from transformers import AutoConfig, AutoModelForTokenClassification

from tests.rewards.training.prm_peer import job_of, our_trainer, solutions, train_with_trl, trl_folder


def test_every_update_loses_what_trl_1_12_loses(tmp_path, make_tokenizer):
    trl_folder()
    tokenizer = make_tokenizer()
    sizes = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(
        "llama", **sizes, intermediate_size=64, max_position_embeddings=256, pad_token_id=2, num_labels=2
    )
    torch.manual_seed(0)
    AutoModelForTokenClassification.from_config(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    records = solutions(40, (1, 4), (1, 6), each=2)
    job = job_of(tmp_path / "model", records, batch=4, steps=10, learning_rate=3e-3, length=256)
    theirs = train_with_trl(job, tmp_path)["losses"]
    trainer = our_trainer(job, tokenizer, records, tmp_path)
    trainer.train()
    ours = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(ours) == len(theirs) == 10
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 1e-5
    assert ours[-1] != ours[0]
