"""What `evalkit train sft` and `evalkit train dpo` share: the run's folder, the reference, the report."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from evalkit.policies.fitting import PolicyFit
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.reference import REFERENCE_FILE, Reference, load_reference
from evalkit.policies.response_rows import ResponseEncoder
from evalkit.runs import fingerprint, run, say, spec_fingerprint, write_json
from evalkit.training.policy_config import TrainDpo, TrainSft
from evalkit.training.policy_figures import draw_policy_run
from evalkit.training.run import RESULT
from rewards.training.trainer import CHECKPOINTS

COUNTED = {
    "truncated": "with a shortened prompt",
    "dropped": "left out as too long",
    "cut": "cut by length, at whose cut no ending is taught",
    "unlearnable": "left out, as nothing in them can be learnt",
    "identical": "left out, as both responses are the same tokens",
}
"""What is printed of each of a `PolicyFit`'s counts."""


def reference_of(name: str, model: LanguageModel, encoder: ResponseEncoder) -> Reference | None:
    """Load the reference of a policy; None where it is the policy that training starts from.

    Raises:
        ModelError: It is no language model, or has another tokenizer.
    """
    return load_reference(name, encoder.tokenizer, model.device) if name else None


def train_policy(
    config: TrainSft | TrainDpo, reference: str, fit: Callable[[Path], PolicyFit], what: str
) -> PolicyFit:
    """Fit a policy in a run's folder, resuming after a kill, and write the result.

    Args:
        config: The command's configuration.
        reference: The reference by name; empty is the policy that training starts from.
        fit: Trains in the folder.
        what: Plural name of batch elements in the report.

    Raises:
        EvalkitError: The settings cannot be used, or the folder is another run's; a folder in which nothing
            was made is removed.
    """
    probe = config.probe
    inputs = {
        "data": fingerprint(config.data),
        "evaluation_data": fingerprint(config.evaluation_data),
        "policy": fingerprint(config.policy),
        "reference": fingerprint(reference or config.policy),
        "probe": fingerprint(probe.data),
        "scorers": [spec_fingerprint(spec) for spec in (probe.scorer, probe.gold) if spec],
    }
    with run(config, inputs, done=RESULT, preliminary=(REFERENCE_FILE,)) as folder:
        result = fit(folder)
        draw_policy_run(folder)
        write_json(folder / RESULT, asdict(result))
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    _report(result, config, what)
    return result


def _report(result: PolicyFit, config: TrainSft | TrainDpo, what: str) -> None:
    """Print the number of updates and of records used and left out."""
    say(
        f"{result.steps} updates on {result.train} {what} ({result.held_out} held out), "
        f"learning rate {result.learning_rate:g}"
    )
    for source, counts in ((config.data, result.counts), (config.evaluation_data, result.held_out_counts)):
        parts = [f"{counts[name]} {text}" for name, text in COUNTED.items() if counts.get(name)]
        if parts:
            say(f"{source}: {'; '.join(parts)}")
    if result.left_out:
        say(f"All that were left out are told in {config.out}/{RESULT}; the first: {result.left_out[0]}")


def report_place(out: str) -> None:
    """Print the policy's folder, and how to sample from it."""
    say(f"The policy is in {out}: evalkit generate --policy {out} --data FILE --out FILE")
