"""Scoring steps in one pass against each prefix alone; training on steps against TRL 1.12's PRMTrainer."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForTokenClassification, PreTrainedTokenizerFast

from rewards.config import ScoringConfig
from rewards.encoding.encoder import Encoder
from rewards.encoding.step_encoder import StepEncoder
from rewards.models.tokens import RIGHT, TokenModel
from rewards.records import Generation, StepLabels
from rewards.scorers.process import ProcessScorer
from tests.benchmarks.conftest import clock, write_results
from tests.benchmarks.test_training_speed import Stopwatch
from tests.rewards.training.prm_peer import job_of, our_trainer, train_with_trl

VOCABULARY, SEPARATOR = 8192, "<step>"
PROBLEMS, SOLUTIONS, STEPS = 4, 16, 8
REPEATS = 2
WARM = 3


def tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"<pad>": 0, "<step>": 1, **{f"w{number}": number for number in range(2, VOCABULARY)}}
    fast = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=fast, pad_token="<pad>")
    made.add_tokens([SEPARATOR])  # a token of its own, whatever stands beside it
    return made


def generations(branch: bool) -> list[Generation]:
    """Solutions of 8 steps of 8-24 tokens to prompts of 64-192; branching ones share steps as a beam's do."""
    rng = np.random.default_rng(0)

    def words(low: int, high: int) -> str:
        return "".join(f" w{number}" for number in rng.integers(2, VOCABULARY, rng.integers(low, high + 1)))

    rows = []
    for _ in range(PROBLEMS):
        prompt = words(64, 192)
        drawn: dict[tuple[int, ...], str] = {}
        for number in range(SOLUTIONS):
            # A branching solution splits from its neighbours one step after another: 1, 2, 4, 8, 16 beams.
            paths = [(number >> max(0, 4 - depth),) if branch else (number,) for depth in range(STEPS)]
            steps = tuple(
                drawn.setdefault((depth, *path), words(8, 24) + SEPARATOR) for depth, path in enumerate(paths)
            )
            rows.append(Generation(prompt, "".join(steps), steps))
    return [rows[place] for place in rng.permutation(len(rows))]


@torch.inference_mode()
def prefixes_alone(
    model: LlamaForTokenClassification, fast: PreTrainedTokenizerFast, rows: list[Generation], batch: int
) -> list[float]:
    """Score every step by the text up to it, read at its last token: what re-scores a growing solution."""
    texts = [
        f"{row.prompt}{''.join(row.steps[:size])}" for row in rows for size in range(1, len(row.steps) + 1)
    ]
    order = sorted(range(len(texts)), key=lambda place: -len(texts[place].split()))
    scores = [0.0] * len(texts)
    for start in range(0, len(texts), batch):
        chosen = order[start : start + batch]
        inputs = fast(
            [texts[place] for place in chosen], padding=True, return_tensors="pt", return_token_type_ids=False
        )
        last = inputs["attention_mask"].sum(dim=1) - 1
        chances = model(**inputs).logits.softmax(-1)[torch.arange(len(chosen)), last, RIGHT]
        for place, chance in zip(chosen, chances.tolist(), strict=True):
            scores[place] = chance
    return scores


@torch.inference_mode()
def padded_solutions(
    model: LlamaForTokenClassification, fast: PreTrainedTokenizerFast, rows: list[Generation], batch: int
) -> list[float]:
    """Score all steps of a solution in one padded pass, the solutions sorted by length."""
    texts = [f"{row.prompt}{row.response}" for row in rows]
    order = sorted(range(len(texts)), key=lambda place: -len(texts[place].split()))
    scores: list[list[float]] = [[] for _ in texts]
    for start in range(0, len(texts), batch):
        chosen = order[start : start + batch]
        inputs = fast(
            [texts[place] for place in chosen], padding=True, return_tensors="pt", return_token_type_ids=False
        )
        chances = model(**inputs).logits.softmax(-1)[:, :, RIGHT]
        for number, place in enumerate(chosen):
            scores[place] = chances[number][inputs["input_ids"][number] == 1].tolist()
    return list(itertools.chain.from_iterable(scores))


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_steps_in_one_pass_against_each_prefix_alone() -> None:
    torch.manual_seed(0)
    fast = tokenizer()
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=1024,
        pad_token_id=0,
        num_labels=2,
    )
    peer = LlamaForTokenClassification(config).eval()
    ours = LlamaForTokenClassification(config)
    ours.load_state_dict(peer.state_dict())
    steps = StepEncoder(Encoder(fast, False, 1024), SEPARATOR)
    scorer = ProcessScorer(TokenModel(ours), steps, ScoringConfig())
    assert scorer.packs
    table = []
    for branch in (False, True):
        rows = generations(branch)
        best: dict[str, tuple[float, float, float]] = {}
        for _ in range(REPEATS):
            with clock() as measured:
                scores = [chance for score in scorer.score(rows) for chance in score.steps]
            runs = {"one pass, prefixes shared": (measured, scores)}
            for way, peer_way in (
                ("each prefix alone", prefixes_alone),
                ("one padded pass", padded_solutions),
            ):
                with clock() as measured:
                    found = peer_way(peer, fast, rows, 16)
                runs[way] = (measured, found)
            for way, (measured, found) in runs.items():
                np.testing.assert_allclose(found, scores, atol=1e-5)
                far = float(np.abs(np.array(found) - np.array(scores)).max())
                wall, processor, _ = best.get(way, (np.inf, np.inf, 0.0))
                best[way] = (min(wall, measured.wall), min(processor, measured.processor), far)
        ours_wall = best["one pass, prefixes shared"][0]
        table += [
            {
                "solutions": "share steps" if branch else "share the prompt",
                "way": way,
                "seconds": round(wall, 3),
                "processor_seconds": round(processor, 3),
                "slower_than_ours": round(wall / ours_wall, 2),
                "largest_difference": f"{far:.1e}",
            }
            for way, (wall, processor, far) in best.items()
        ]
    write_results("process_scoring", table)
    assert len(table) == 6


def labelled(count: int, each: int) -> list[StepLabels]:
    """Solutions of 4-8 steps of 8-24 tokens, `each` to a prompt of 64-192."""
    rng = np.random.default_rng(0)

    def words(low: int, high: int) -> str:
        return "".join(f" w{number}" for number in rng.integers(2, VOCABULARY, rng.integers(low, high + 1)))

    records = []
    for _ in range(count // each):
        prompt = words(64, 192)
        for _ in range(each):
            steps = tuple(words(8, 24) for _ in range(rng.integers(4, 9)))
            records.append(StepLabels(prompt, steps, tuple(float(rng.random() < 0.7) for _ in steps)))
    return records


def per_second(times: dict[str, list[float]], solutions: int) -> list[float]:
    """Solutions in a wall second and in a processor second: medians over steps after the first."""
    return [solutions / float(np.median(np.diff(times[kind][WARM:]))) for kind in ("wall", "processor")]


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_training_on_steps_against_trl(tmp_path: Path) -> None:
    fast = tokenizer()
    table = []
    for each in (1, 8):
        model: Any = LlamaForTokenClassification(
            LlamaConfig(
                vocab_size=len(fast),
                hidden_size=256,
                intermediate_size=688,
                num_hidden_layers=4,
                num_attention_heads=4,
                num_key_value_heads=4,
                max_position_embeddings=768,
                pad_token_id=0,
                num_labels=2,
            )
        )
        folder = tmp_path / f"model-{each}"
        model.save_pretrained(folder)
        fast.save_pretrained(folder)
        records = labelled(16 * 20, each)
        settings = {"batch": 16, "steps": 20, "learning_rate": 1e-4, "length": 768, "threads": 2}
        job = job_of(folder, records, separator=SEPARATOR, **settings)
        theirs = train_with_trl(job, tmp_path)
        trainer = our_trainer(job, fast, records, tmp_path / f"ours-{each}")
        watch = Stopwatch()
        trainer.add_callback(watch)
        trainer.train()
        ours = {"wall": watch.wall, "processor": watch.processor}
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        far = max(abs(a - b) for a, b in zip(losses, theirs["losses"], strict=True))
        rates = {"ours": per_second(ours, 16), "TRL 1.12 PRMTrainer": per_second(theirs, 16)}
        table += [
            {
                "solutions_to_a_prompt": each,
                "trainer": name,
                "solutions_per_second": round(wall, 1),
                "solutions_per_processor_second": round(processor, 1),
                "times_faster": round(rates["ours"][0] / wall, 2),
                "largest_loss_difference": f"{far:.1e}",
            }
            for name, (wall, processor) in rates.items()
        ]
    write_results("training_steps", table)
    assert all(float(row["largest_loss_difference"]) < 1e-4 for row in table)
