"""`evalkit train dpo`: trains a policy on preferences by DPO or a related loss."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.policies.dpo import fit_dpo
from evalkit.policies.fitting import PolicyFit
from evalkit.policies.loading import load_trainable
from evalkit.policies.probe.probe import PREFIX, PROBES
from evalkit.policies.probe.probe_file import ProbeFile
from evalkit.runs.terminal import say
from evalkit.training.policy_config import TrainDpo
from evalkit.training.policy_run import reference_of, report_place, train_policy
from evalkit.training.run import read_labelled
from rewards.data.preferences import load_preferences
from rewards.errors import DataError
from rewards.files import Screen
from rewards.records import Preference, Ranking
from rewards.training.labelled import Labelled


def run(config: TrainDpo) -> None:
    """Train, and print the policy's folder, its accuracy on held-out pairs, and diagnostics.

    Raises:
        EvalkitError: The data, the policy, the reference or the settings cannot be used.
    """
    data = _read(config, config.data, config.limit)
    held_out = _read(config, config.evaluation_data, 0) if config.evaluation_data else None

    def fit(folder: Path) -> PolicyFit:
        model, encoder = load_trainable(config.policy, config.training.max_length)
        return fit_dpo(
            model,
            encoder,
            data,
            held_out,
            config.training,
            folder,
            dpo=config.dpo,
            reference=reference_of(config.dpo.reference, model, encoder),
            probe=config.probe,
            keep_checkpoints=True,
        )

    result = train_policy(config, config.dpo.reference, fit, "pairs")
    for line in findings(result, _probed(Path(config.out)), f"{config.out}/metrics.jsonl"):
        say(line)
    report_place(config.out)
    say(f"Its implicit reward: evalkit score --scorer dpo:{config.out} --data FILE --out FILE")


def _read(config: TrainDpo, source: str, limit: int) -> Labelled[Preference]:
    screen = Screen(config.screening)
    records = load_preferences(source, config.format, config.rename, screen)
    read = read_labelled(records, screen, source, limit)
    pairs = [
        (pair, where)
        for record, name in zip(read.records, read.names, strict=True)
        for pair, where in pairs_of(record, name)
    ]
    rankings = sum(isinstance(record, Ranking) for record in read.records)
    if rankings:
        say(f"{source}: {rankings} rankings, in which {len(pairs)} pairs differ in rank")
    if not pairs:
        raise DataError(
            f"{source}: no pair is left in which one response is preferred to the other ({screen.report})"
        )
    return Labelled([pair for pair, _ in pairs], [where for _, where in pairs], read.origin)


def pairs_of(record: Preference | Ranking, name: str) -> Iterator[tuple[Preference, str]]:
    """Yield a preference, or of a ranking each pair that differs in rank; with its name in errors."""
    if isinstance(record, Preference):
        yield record, name
        return
    reasons = record.extra.get("finish_reasons")
    finished = reasons if isinstance(reasons, list) and len(reasons) == len(record.ranks) else ()
    for better, first in enumerate(record.ranks):
        for worse, second in enumerate(record.ranks):
            if first < second:
                sides = {"chosen": better, "rejected": worse}
                extra = {
                    f"{side}_finish_reason": finished[place] for side, place in sides.items() if finished
                }
                pair = Preference(
                    record.prompt, record.responses[better], record.responses[worse], 0.0, record.id, extra
                )
                yield pair, f"{name}, responses {better + 1} and {worse + 1}"


@dataclass(frozen=True)
class Probed:
    """The reward of sampled responses in the first and the last probe."""

    name: str
    first: float
    last: float


def _probed(folder: Path) -> Probed | None:
    lines = ProbeFile(folder / PROBES).lines if (folder / PROBES).exists() else []
    for name in ("gold", "proxy"):
        values = [line[PREFIX + name] for line in lines if PREFIX + name in line]
        if values:
            return Probed(name, values[0], values[-1])
    return None


def findings(result: PolicyFit, probed: Probed | None, metrics: str) -> Iterator[str]:
    """Yield lines on held-out pairs, and on whether falling log-probabilities are a problem.

    Args:
        result: The training run.
        probed: Rewards of the probes.
        metrics: File with the metrics of every update.
    """
    found = result.evaluation
    if "eval_accuracy" not in found:
        yield f"No pairs were held out; {metrics} tells of each update's own (train_accuracy and others)"
    else:
        yield (
            f"{result.held_out} held-out pairs: loss {found['eval_loss']:.4f}, the implicit reward ranks "
            f"{found['eval_accuracy']:.1%} right, by {found['eval_margin']:.3g} on average"
        )
        yield (
            "Change of log-probability against the reference, nats: "
            + ", ".join(
                f"{side} {found[f'eval_{side}_change']:+.3g} "
                f"({found[f'eval_{side}_change_per_token']:+.3g} a token)"
                for side in ("chosen", "rejected")
            )
            + f"; both fell in {found['eval_both_fall']:.0%} of the pairs"
        )
        yield _verdict(found, probed)
    if probed:
        better = "rose" if probed.last > probed.first else "did not rise"
        yield (
            f"The {probed.name} reward of what the policy writes {better}: {probed.first:.4g} at the start, "
            f"{probed.last:.4g} at the end"
        )


def _verdict(metrics: Mapping[str, float], probed: Probed | None) -> str:
    if metrics["eval_accuracy"] <= 0.5:
        return (
            "Warning: that is no better than chance, whatever the log-probabilities do; look at the labels, "
            "and try more data, more epochs or another --training.learning_rate"
        )
    if metrics["eval_chosen_change"] >= 0:
        return (
            "The chosen responses became more likely than they were, the rejected ones less so or less likely"
        )
    usual = (
        "Chosen responses became less likely, which is usual and by itself no fault: the loss sees only the "
        "margin, and the rejected ones fell further. It is broken where the accuracy does not rise, or where "
        "what the policy writes gets worse"
    )
    return usual if probed else usual + "; --probe.data with --probe.scorer looks at that"
