"""fit_correctness: train an outcome reward model on graded solutions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from torch import Tensor

from rewards.config import CorrectnessTrainingConfig
from rewards.encoding.encoder import Encoder, OverLong
from rewards.encoding.packs import Integers, Pack, Tokens
from rewards.errors import ConfigError
from rewards.models.head import HeadedModel
from rewards.models.outcome import SequenceModel, last_read
from rewards.models.sidecar import Sidecar, tokenizer_hash
from rewards.records import Generation, prompt_key
from rewards.training.examples import Encoded, TokenExample, refuse_pair_settings, split_examples
from rewards.training.fitting import FitResult, fit_examples, result_of, save_fitted
from rewards.training.labelled import Data, as_labelled
from rewards.training.objectives import CorrectnessObjective
from rewards.training.outcome import logit_scale, sampled


class ResponseTokens(SequenceModel):
    """An outcome reward model read at every token of the response during training."""

    def forward(
        self, packs: Sequence[Pack] | None, rows: Sequence[Tokens], positions: Sequence[Integers]
    ) -> Tensor:
        """Return the raw logits at tokens of the rows, [M, 1], float32, row after row."""
        return self.logits(packs, rows, positions)


@dataclass(frozen=True, slots=True)
class GradedSolution:
    """A solution and whether it is right: 1, 0, or a share in between."""

    generation: Generation
    label: float

    @property
    def id(self) -> str:
        """The id of the solution."""
        return self.generation.id


def fit_correctness(
    model: HeadedModel,
    encoder: Encoder,
    train: Data[GradedSolution],
    held_out: Data[GradedSolution] | None,
    config: CorrectnessTrainingConfig,
    out: str | Path,
) -> FitResult:
    """Train an outcome reward model on graded solutions, resuming from an interrupted call's checkpoint.

    The folder is an outcome reward model's: its score is the logit at the last token, standardised.

    Args:
        model: A sequence classifier of one label that is read at the last token; its weights change.
        encoder: Text to tokens.
        train: Graded solutions.
        held_out: Solutions to evaluate on; None holds out a share of the prompts.
        config: Tokens with a loss, and the training settings.
        out: Folder for the model, `evalkit.json` last, and for checkpoints until then.

    Raises:
        DataError: There is nothing to train on, a row is over-long and may not be cut, or a held-out prompt
            is also trained on.
        ConfigError: Settings that contradict each other, or that do not apply; or a body that is not read at
            its tokens, such as an encoder.

    Source: "Let's Verify Step by Step" (2305.20050), appendix E; Cobbe et al. (2110.14168), section 4.2.
    """
    training = config.training
    refuse_pair_settings(training)
    reading = ResponseTokens(model.classifier)
    if not reading.reads_last:
        raise ConfigError(
            f"{type(reading.inner).__name__} scores a response in a way of its own, not at its tokens, where "
            "graded solutions are learnt; take a body that reads forward, such as llama, qwen3 or gpt2"
        )
    data = as_labelled(train)
    encode = partial(
        encode_graded, encoder=encoder, tokens=config.tokens, over_long=training.over_long, pad=model.pad
    )
    split = split_examples(encode(data), None if held_out is None else encode(held_out), training)
    objective = CorrectnessObjective(training.label_smoothing)
    fitted = fit_examples(reading, objective, split, training, Path(out))
    rows = [example.row for example in sampled(split.train, training.seed)]
    scale = logit_scale(fitted.model, rows, fitted.packed)
    about = {
        **data.origin,
        "training": asdict(fitted.config),
        "tokens": config.tokens,
        "solutions": len(split.train),
    }
    sidecar = Sidecar(
        append_eos=encoder.append_eos,
        tokenizer_hash=tokenizer_hash(encoder.tokenizer),
        scale=scale,
        trained_on=about,
    )
    save_fitted(fitted, encoder, Path(out), sidecar)
    labels = {kind: split.counts.get(kind, 0) for kind in ("right", "wrong")}
    return result_of(fitted, split, labels, scale)


def encode_graded(
    data: Data[GradedSolution],
    encoder: Encoder,
    tokens: Literal["all", "last"],
    over_long: OverLong,
    pad: int | None,
) -> Encoded[TokenExample]:
    """Encode graded solutions, and count `truncated`, `dropped`, `right` (0.5 and up) and `wrong` ones.

    Args:
        data: The solutions.
        encoder: Text to tokens.
        tokens: Tokens with a loss: all from the response's first, or the last alone.
        over_long: Rule for a row longer than the model's context.
        pad: The padding token, after which no score is read.

    Raises:
        DataError: A row is too long and `over_long` is error.
    """
    data = as_labelled(data)
    solutions = [record.generation for record in data.records]
    prompts, responses = (
        [solution.prompt for solution in solutions],
        [solution.response for solution in solutions],
    )
    encoded = encoder.encode(prompts, responses) if solutions else []
    counts: Counter[str] = Counter()
    examples: list[TokenExample] = []
    left_out: list[str] = []
    for record, row, name in zip(data.records, encoded, data.names, strict=True):
        prompt = record.generation.prompt
        start = encoder.response_start(row, prompt) if tokens == "all" else len(row)
        kept = encoder.limit(row, prompt, over_long, name)
        if kept is None:
            counts["dropped"] += 1
            left_out.append(encoder.too_long(row, name))
            continue
        counts["truncated"] += int(len(kept) < len(row))
        start -= len(row) - len(kept)
        end = last_read(kept, pad)
        positions = tuple(range(min(start, end), end + 1))
        counts["right" if record.label >= 0.5 else "wrong"] += 1
        examples.append(
            TokenExample(
                tuple(kept[: end + 1]), positions, ((record.label,),) * len(positions), prompt_key(prompt)
            )
        )
    longest = max((len(example.row) for example in examples), default=0)
    return Encoded(tuple(examples), longest, counts, tuple(left_out))
