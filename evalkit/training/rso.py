"""`evalkit train rso`: sample, score, accept by rejection sampling, pair, and train on the pairs."""

import json
from dataclasses import replace
from pathlib import Path

from evalkit.runs import run as run_in_folder
from evalkit.runs import say, write_json
from evalkit.training import dpo as training_dpo
from evalkit.training.policy_config import TrainDpo, TrainRso
from evalkit.training.policy_run import report_place
from evalkit.training.rso_pairs import PAIRS, read_selection, selection_lines, write_pairs
from evalkit.training.run import RESULT
from evalkit.training.sampling import (
    SCORED,
    check_sampled,
    inputs_of,
    publish_policy,
    sample_and_score,
)

TRAINING = "training"
"""Folder of the training on pairs within the run's."""


def run(config: TrainRso) -> None:
    """Make pairs of the policy's own samples, or take those given, and train on them.

    Each step leaves a finished file: `samples.jsonl`, `scored.jsonl`, `pairs.jsonl` with `selection.json`,
    and `training/`; the same command skips what is there. The trained policy's files are in `out` itself.

    Raises:
        EvalkitError: Data, policy, scorer or settings cannot be used; or the samples give no pair.
        OutputExistsError: The folder holds a finished run, or another.
    """
    if config.source != "direct":
        check_sampled(config)
    with run_in_folder(config, inputs_of(config, config.dpo.reference), done=RESULT) as folder:
        selection = _pairs(config, folder)
        _train(config, folder)
        training = folder / TRAINING
        rso = {"source": config.source, "scorer": config.scorer, "selection": selection}
        publish_policy(training, folder, {"rso": rso})
        result = json.loads((training / RESULT).read_text(encoding="utf-8"))
        write_json(folder / RESULT, {"selection": selection, "training": result})
    report_place(config.out)


def _pairs(config: TrainRso, folder: Path) -> dict[str, object]:
    """Return the summary of the pair selection; empty where pairs are given."""
    if config.source == "direct":
        return {}
    sample_and_score(config, config.policy, folder, config.n, config.seed)
    selection = read_selection(folder) or write_pairs(config, folder / SCORED, folder)
    for line in selection_lines(selection):
        say(line)
    return selection


def _train(config: TrainRso, folder: Path) -> None:
    training = folder / TRAINING
    if (training / RESULT).exists():
        say(f"{training}: trained before")
        return
    given = config.source == "direct"
    training_dpo.run(
        TrainDpo(
            policy=config.policy,
            data=config.data if given else str(folder / PAIRS),
            out=str(training),
            format="auto" if given else "preference",
            rename=config.rename if given else {},
            limit=config.limit if given else 0,
            dpo=config.dpo,
            training=config.training,
            probe=replace(
                config.probe,
                scorer=config.probe.scorer or config.scorer,
                max_new_tokens=config.probe.max_new_tokens or config.drawing.max_new_tokens,
            ),
        )
    )
