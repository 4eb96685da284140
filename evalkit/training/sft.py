"""`evalkit train sft`: fine-tunes a policy on responses."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from evalkit.policies.fitting import PolicyFit
from evalkit.policies.loading import load_trainable
from evalkit.policies.sft import fit_sft
from evalkit.runs.terminal import say
from evalkit.training.policy_config import TrainSft
from evalkit.training.policy_run import reference_of, report_place, train_policy
from evalkit.training.run import read_labelled
from rewards.data.streams import screened
from rewards.files import Row, Screen, generations, read_rows
from rewards.records import Generation
from rewards.training.labelled import Labelled


def run(config: TrainSft) -> None:
    """Train, and print the policy's folder and its perplexity on held-out responses.

    Raises:
        EvalkitError: The data, the policy or the settings cannot be used.
    """
    data = _read(config, config.data, config.limit)
    held_out = _read(config, config.evaluation_data, 0) if config.evaluation_data else None

    def fit(folder: Path) -> PolicyFit:
        model, encoder = load_trainable(config.policy, config.training.max_length)
        reference = reference_of(config.reference, model, encoder) if config.probe.data else None
        return fit_sft(
            model,
            encoder,
            data,
            held_out,
            config.training,
            folder,
            reference=reference,
            probe=config.probe,
            keep_checkpoints=True,
        )

    result = train_policy(config, config.reference, fit, "rows of responses")
    if "eval_loss" in result.evaluation:
        perplexity = result.evaluation.get("eval_perplexity")
        shown = f", perplexity {perplexity:.2f}" if perplexity is not None else ""
        say(f"Held out: {result.evaluation['eval_loss']:.4f} nats a token{shown}")
    report_place(config.out)


def _read(config: TrainSft, source: str, limit: int) -> Labelled[list[Generation]]:
    screen = Screen(config.screening)
    rows = islice(read_rows(source, rename=config.rename), limit or None)
    return read_labelled(_groups(rows, screen), screen, source, 0)


def _groups(rows: Iterator[Row], screen: Screen) -> Iterator[list[Generation]]:
    """Yield the kept responses of each row: they share a prompt, which is computed once."""
    for row in rows:
        if kept := list(screened([row], _generations, screen)):
            # The screen names the last response, and the errors that follow count within the row.
            screen.where = row.where + (f": id {row.id()!r}" if "id" in row.values and _one_id(row) else "")
            yield kept


def _one_id(row: Row) -> bool:
    return not isinstance(row.values["id"], list)


def _generations(row: Row) -> list[Generation]:
    own = generations(row)
    # The responses of a row have its id in common, which is not to count as one met before.
    return [
        replace(one, id=f"{one.id}#{number}" if one.id and len(own) > 1 else one.id)
        for number, one in enumerate(own, 1)
    ]
