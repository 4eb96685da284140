"""What `evalkit train sft` and `evalkit train dpo` share: the run's folder, the policy, the report."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from evalkit.policies.checkpoint import load_causal, weights_hash
from evalkit.policies.config import ProbeConfig
from evalkit.policies.fitting import PolicyFit
from evalkit.policies.generation.local import end_tokens
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.reference import REFERENCE_FILE, Reference, load_reference, record_reference
from evalkit.policies.response_rows import ResponseEncoder
from evalkit.runs.files import atomic_write, fingerprint, json_text, spec_fingerprint
from evalkit.runs.folder import RECORD, forget_run, run_folder
from evalkit.runs.locks import locked_folder
from evalkit.runs.terminal import say
from evalkit.training.policy_figure import draw_policy_run
from evalkit.training.run import RESULT, to_device
from rewards.config import TrainingConfig
from rewards.errors import ConfigError, EvalkitError
from rewards.scorers.loading import context_length
from rewards.training.trainer import CHECKPOINTS

COUNTED = {
    "truncated": "with a shortened prompt",
    "dropped": "left out as too long",
    "cut": "cut by length, at whose cut no ending is taught",
    "unlearnable": "left out, as nothing in them can be learnt",
    "identical": "left out, as both responses are the same tokens",
}
"""What is printed of each count of `evalkit.policies.fitting.Prepared`."""


class PolicyTraining(Protocol):
    """What the configurations of both commands have."""

    @property
    def policy(self) -> str:
        """Where training starts."""
        ...

    @property
    def data(self) -> str:
        """What is trained on."""
        ...

    @property
    def evaluation_data(self) -> str:
        """What is held out; empty holds out a share."""
        ...

    @property
    def out(self) -> str:
        """Folder for the policy."""
        ...

    @property
    def training(self) -> TrainingConfig:
        """How it is fitted."""
        ...

    @property
    def probe(self) -> ProbeConfig:
        """What is looked at meanwhile."""
        ...

    @property
    def overwrite(self) -> bool:
        """Whether a finished policy is replaced."""
        ...


@dataclass(frozen=True)
class Start:
    """A policy before training.

    Attributes:
        model: The policy.
        tokenizer: Its tokenizer.
        encoder: Text to tokens.
        about: What `policy.json` says of what training starts from.
    """

    model: LanguageModel
    tokenizer: Any
    encoder: ResponseEncoder
    about: Mapping[str, object]


def start_of(config: PolicyTraining, data: Mapping[str, object]) -> Start:
    """Load the policy that training starts from, on the first accelerator or else the processor.

    Args:
        config: The command's configuration.
        data: What is recorded of the data.

    Raises:
        ModelError: It is no language model, or its tokenizer has no EOS token.
        ConfigError: More tokens are asked for than it takes.
    """
    model, tokenizer = load_causal(config.policy, config.policy)
    length = context_length(model.config, tokenizer)
    most = config.training.max_length
    if most > length:
        raise ConfigError(f"training.max_length {most}: the model takes {length} tokens")
    about = {
        "started_from": {"name": config.policy, "hash": weights_hash(model)},
        "data": data,
    }
    encoder = ResponseEncoder(tokenizer, most or length, end_tokens(model, tokenizer))
    return Start(LanguageModel(to_device(model)), tokenizer, encoder, about)


def reference_of(name: str, start: Start, folder: Path) -> Reference:
    """Load the reference beside a policy, and hold it against the one that the run began with.

    Raises:
        ModelError: It is another one, is no language model, or has another tokenizer.
    """
    place: torch.device = start.model.device
    reference = load_reference(name, start.tokenizer, place)
    record_reference(folder, reference)
    return reference


def train_policy(
    config: PolicyTraining, reference: str, fit: Callable[[Path], PolicyFit], what: str
) -> PolicyFit:
    """Fit a policy in a run's folder, which a killed command is found again by, and write the result.

    Args:
        config: The command's configuration.
        reference: The model that the run is held against.
        fit: Trains in the folder.
        what: What an element of a batch is called, many of them, in the report.

    Raises:
        EvalkitError: The settings cannot be used, or the folder is another run's; a folder in which nothing
            was made is removed.
    """
    probe = config.probe
    inputs = {
        "data": fingerprint(config.data),
        "evaluation_data": fingerprint(config.evaluation_data),
        "policy": fingerprint(config.policy),
        "reference": fingerprint(reference),
        "probe": fingerprint(probe.data),
        "scorers": [spec_fingerprint(spec) for spec in (probe.scorer, probe.gold) if spec],
    }
    folder = run_folder(config.out, config, config.overwrite, RESULT, inputs)
    with locked_folder(folder):
        try:
            result = fit(folder)
        except EvalkitError:
            if {path.name for path in folder.iterdir()} <= {RECORD, REFERENCE_FILE}:
                (folder / REFERENCE_FILE).unlink(missing_ok=True)
            forget_run(folder)
            raise
        draw_policy_run(folder)
        with atomic_write(folder / RESULT) as file:
            file.write(json_text(asdict(result)))
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    _report(result, config, what)
    return result


def _report(result: PolicyFit, config: PolicyTraining, what: str) -> None:
    """Print the updates made, on how many records, and what became of the others."""
    say(
        f"{result.steps} updates on {result.train} {what} ({result.held_out} held out), "
        f"learning rate {result.learning_rate:g}",
    )
    for source, counts in ((config.data, result.counts), (config.evaluation_data, result.held_out_counts)):
        told = [f"{counts[name]} {text}" for name, text in COUNTED.items() if counts.get(name)]
        if told:
            say(f"{source}: {'; '.join(told)}")
    if result.left_out:
        say(
            f"All that were left out are told in {config.out}/{RESULT}; the first: {result.left_out[0]}",
        )


def report_place(out: str) -> None:
    """Print where the policy is, and how to sample it."""
    say(f"The policy is in {out}: evalkit generate --policy {out} --data FILE --out FILE")
