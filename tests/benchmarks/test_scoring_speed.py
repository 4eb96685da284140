"""Scoring 16 responses to each of 8 prompts, against padded batches of plain Transformers in the same run."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

from rewards.config import ScoringConfig
from rewards.encoding.encoder import Encoder
from rewards.models.outcome import RewardModel
from rewards.records import Generation
from rewards.scorers.outcome import ModelScorer
from tests.benchmarks.conftest import clock, write_results

VOCABULARY = 8192
REPEATS = 2


def tokenizer() -> PreTrainedTokenizerFast:
    words = {"<pad>": 0, **{f"w{number}": number for number in range(1, VOCABULARY)}}
    fast = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=fast, pad_token="<pad>")


def generations() -> list[Generation]:
    """8 prompts of 128-512 tokens with 16 responses of 16-128 tokens, in a random order."""
    rng = np.random.default_rng(0)

    def words(low: int, high: int) -> str:
        return "".join(f" w{number}" for number in rng.integers(1, VOCABULARY, rng.integers(low, high + 1)))

    rows = [
        Generation(prompt, words(16, 128))
        for prompt in [words(128, 512) for _ in range(8)]
        for _ in range(16)
    ]
    return [rows[place] for place in rng.permutation(len(rows))]


@torch.inference_mode()
def padded_scores(
    model: LlamaForSequenceClassification, fast: PreTrainedTokenizerFast, texts: list[str], batch: int
) -> list[float]:
    scores: list[float] = []
    for start in range(0, len(texts), batch):
        inputs = fast(
            texts[start : start + batch], padding=True, return_tensors="pt", return_token_type_ids=False
        )
        scores += model(**inputs).logits[:, 0].tolist()
    return scores


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_shared_prefixes_against_padded_batches() -> None:
    torch.manual_seed(0)
    fast, rows = tokenizer(), generations()
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=1024,
        pad_token_id=0,
        num_labels=1,
    )
    peer = LlamaForSequenceClassification(config).eval()
    ours = LlamaForSequenceClassification(config)
    ours.load_state_dict(peer.state_dict())
    scorer = ModelScorer(RewardModel(ours), Encoder(fast, False, 1024), ScoringConfig(share_prefixes=True))
    assert scorer.packs
    texts = [f"{row.prompt}{row.response}" for row in rows]
    by_length = sorted(range(len(rows)), key=lambda place: -len(texts[place].split()))
    runs: dict[tuple[str, int], tuple[float, float, list[float]]] = {}
    for _ in range(REPEATS):  # interleaved, so that a slow moment of the machine hits all alike
        for way, batch in [("ours", 8192), *((way, b) for way in ("given", "sorted") for b in (8, 16, 32))]:
            with clock() as measured:
                if way == "ours":
                    scores = scorer.logits(rows)
                elif way == "given":
                    scores = padded_scores(peer, fast, texts, batch)
                else:
                    found = padded_scores(peer, fast, [texts[place] for place in by_length], batch)
                    scores = [found[by_length.index(place)] for place in range(len(rows))]
            best = runs.get((way, batch), (np.inf, np.inf, []))
            runs[way, batch] = (min(best[0], measured.wall), min(best[1], measured.processor), scores)
    wall, processor, scores = runs["ours", 8192]
    for other in runs.values():
        np.testing.assert_allclose(other[2], scores, atol=1e-5)
    write_results(
        "scoring",
        [
            {
                "way": {
                    "ours": "shared prefixes",
                    "given": "padded, given order",
                    "sorted": "padded, by length",
                }[way],
                "batch": batch,
                "seconds": round(w, 3),
                "processor_seconds": round(p, 3),
                "slower_than_ours": round(w / wall, 2),
            }
            for (way, batch), (w, p, _) in runs.items()
        ],
    )
    assert processor > 0
