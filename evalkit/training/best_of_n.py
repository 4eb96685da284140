"""`evalkit train best-of-n`: rounds of sampling, keeping the best by reward, and fine-tuning on them."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from rich.table import Table

from evalkit.runs import run as run_in_folder
from evalkit.runs import say, show, write_json
from evalkit.training import sft as training_sft
from evalkit.training.best_of_n_figures import draw_rounds
from evalkit.training.best_of_n_rounds import (
    KEPT,
    Round,
    SampleStatistics,
    keep_best,
    read_round,
    sample_statistics,
)
from evalkit.training.policy_config import TrainBestOfN, TrainSft
from evalkit.training.run import RESULT
from evalkit.training.sampling import (
    SCORED,
    check_sampled,
    inputs_of,
    publish_policy,
    sample_and_score,
)

SUMMARY, FIGURE = "summary.json", "rounds.png"
POLICY = "policy"
"""Folder of a round's policy within the round's."""
AFTER = "after"
"""Folder of the samples of the last policy."""
LOOKED_AT = 4
"""Most samples to each prompt from which the last policy's reward is told."""


def run(config: TrainBestOfN) -> None:
    """Train in rounds (Llama 2, Touvron et al. 2307.09288, section 3.2.3), and print each round's rewards.

    Each step of round i leaves a finished file in `round-i`: `samples.jsonl`, `scored.jsonl`, `kept.jsonl`
    with `round.json`, and `policy/`; the same command skips what is there. The last policy's files are in
    `out` itself.

    Raises:
        EvalkitError: Data, policy, scorer or settings cannot be used; or all rewards are equal.
        OutputExistsError: The folder holds a finished run, or another.
    """
    check_sampled(config)
    with run_in_folder(config, inputs_of(config), done=SUMMARY) as folder:
        rounds = [_round(config, folder, number) for number in range(1, config.rounds + 1)]
        after = _after(config, folder)
        about = {"scorer": config.scorer, "rounds": config.rounds, "n": config.n, "k": config.k}
        publish_policy(policy_of(config, folder, config.rounds), folder, {"best_of_n": about}, best=False)
        draw_rounds(rounds, after, config.scorer, folder / FIGURE)
        write_json(folder / SUMMARY, {"rounds": [asdict(one) for one in rounds], "after": asdict(after)})
    show(rounds_table(rounds, after))
    say(
        "reward: mean over prompts of the samples that a round begins with, ± its standard error; "
        "after: of the last policy, on the prompts that it was trained on",
    )
    say(f"Summary and figure are in {folder / SUMMARY} and {folder / FIGURE}")
    say(
        f"The policy is in {config.out}: evalkit generate --policy {config.out} --data FILE --out FILE",
    )


def round_folder(folder: Path, number: int) -> Path:
    """Return the folder of a round, which counts from 1."""
    return folder / f"round-{number}"


def policy_of(config: TrainBestOfN, folder: Path, number: int) -> Path:
    """Return the policy after a round; round 0 is the starting policy."""
    return round_folder(folder, number) / POLICY if number else Path(config.policy)


def seed_of(seed: int, number: int) -> int:
    """Return the seed of a round's samples, which differs between rounds and runs."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _round(config: TrainBestOfN, folder: Path, number: int) -> Round:
    """Make one round, as far as it is not made yet."""
    own = round_folder(folder, number)
    last = _last(config, folder, number)
    say(f"Round {number} of {config.rounds}")
    made = read_round(own)
    if made is None:
        sample_and_score(config, last, own, config.n, seed_of(config.seed, number))
        scored = [round_folder(folder, one) / SCORED for one in range(1, number + 1)]
        made = keep_best(config, scored, own, last)
    say(_told(made))
    if (own / POLICY / RESULT).exists():
        say(f"{own / POLICY}: trained before")
        return made
    training_sft.run(
        TrainSft(
            policy=last if config.start_from == "last" else config.policy,
            data=str(own / KEPT),
            out=str(own / POLICY),
            reference=config.policy,
            training=config.training,
            probe=replace(
                config.probe,
                scorer=config.probe.scorer or config.scorer,
                max_new_tokens=config.probe.max_new_tokens or config.drawing.max_new_tokens,
            ),
        )
    )
    return made


def _last(config: TrainBestOfN, folder: Path, number: int) -> str:
    """Return the policy that a round samples; a Hub id stays as it is written."""
    return str(policy_of(config, folder, number - 1)) if number > 1 else config.policy


def _after(config: TrainBestOfN, folder: Path) -> SampleStatistics:
    """Sample the last policy too, on the training prompts, to measure its reward."""
    last = _last(config, folder, config.rounds + 1)
    own, n = folder / AFTER, min(config.n, LOOKED_AT)
    sample_and_score(config, last, own, n, seed_of(config.seed, config.rounds + 1))
    return sample_statistics(own / SCORED, last)


def _told(made: Round) -> str:
    notes = [f"{made.kept} kept of {made.drawn.samples} samples"]
    if made.kept_of_earlier:
        notes.append(f"{made.kept_of_earlier} of them of earlier rounds")
    if made.prompts_below_k:
        notes.append(f"{made.prompts_below_k} prompts with fewer different samples than k, all kept")
    if made.prompts_tied:
        notes.append(f"{made.prompts_tied} prompts where the seed decided among equal rewards")
    if made.kept_unfinished:
        notes.append(f"{made.kept_unfinished} cut by length, at whose cut no end is taught")
    return "; ".join(notes)


def rounds_table(rounds: Sequence[Round], after: SampleStatistics) -> Table:
    """Return a row for each round and one for the last policy: rewards, endings, lengths."""
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(("round", "reward", "of the kept", "finished", "tokens", "distinct")):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    for one in rounds:
        kept = _plus_minus(one.kept_reward, one.kept_reward_error)
        table.add_row(str(one.number), *_cells(one.drawn, kept))
    table.add_row("after", *_cells(after, "-"))
    return table


def _cells(drawn: SampleStatistics, kept: str) -> tuple[str, ...]:
    reward = _plus_minus(drawn.reward, drawn.reward_error)
    return reward, kept, f"{drawn.finished:.1%}", f"{drawn.tokens:.1f}", f"{drawn.distinct:.1%}"


def _plus_minus(mean: float, error: float | None) -> str:
    return f"{mean:.4g}" if error is None else f"{mean:.4g} ± {error:.2g}"
