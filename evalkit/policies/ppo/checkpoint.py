"""PPO checkpoints to resume from: weights, optimizer states, running statistics; written atomically."""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from evalkit.policies.ppo.learner import Learner
from evalkit.policies.rollout.reward_scale import RunningMoments
from evalkit.runs.files import json_text
from rewards.errors import ModelError
from rewards.training.resuming import check_same_run

CHECKPOINTS = "checkpoints"
STATE = "state.json"
KEPT = 2
"""Checkpoints kept: the last, and the one before it."""


@dataclass(frozen=True)
class PpoState:
    """Running statistics of a PPO run after some of its rounds.

    All randomness comes from the seed and the round's number, so that there is no RNG state to save.

    Attributes:
        round: Rounds done, those of the critic alone included.
        coefficient: Weight of the KL penalty.
        moments: Running moments of the rewards so far.
    """

    round: int = 0
    coefficient: float = 0.0
    moments: RunningMoments = field(default_factory=RunningMoments)


def save_state(folder: Path, state: PpoState, learner: Learner, arguments: str) -> None:
    """Write a checkpoint; the newest older one stays until this one is complete.

    Args:
        folder: The run's.
        state: The running statistics.
        learner: Policy and critic.
        arguments: Hash of what the run was begun with.
    """
    place = folder / CHECKPOINTS / f"round-{state.round}"
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(_trained(learner.policy), partial / "policy.safetensors")
    save_file(_trained(learner.critic.model), partial / "critic.safetensors")
    torch.save([one.state_dict() for one in learner.optimisers], partial / "optimisers.pt")
    numbers = {**asdict(state), "done": learner.done, "penalty": learner.penalty, "arguments": arguments}
    (partial / STATE).write_text(json_text(numbers), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    partial.replace(place)
    for old in _checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)


def load_state(folder: Path, learner: Learner, arguments: str) -> PpoState | None:
    """Restore a learner from the newest checkpoint; None where there is none.

    Args:
        folder: The run's.
        learner: Policy and critic.
        arguments: Hash of what the run is begun with.

    Raises:
        ModelError: The checkpoint is of another model.
        OutputExistsError: The checkpoint is of a run with other arguments.
    """
    checkpoints = _checkpoints(folder)
    if not checkpoints:
        return None
    place = checkpoints[-1]
    numbers = json.loads((place / STATE).read_text(encoding="utf-8"))
    check_same_run(place, numbers.pop("arguments", ""), arguments)
    for name, model in (("policy", learner.policy), ("critic", learner.critic.model)):
        weights = load_file(place / f"{name}.safetensors", device=str(learner.policy.device))
        loaded = model.load_state_dict(weights, strict=False)
        lost = sorted({*loaded.unexpected_keys, *_trained(model).keys() - weights.keys()})
        if lost:
            raise ModelError(f"{place}: a checkpoint of another {name}; {lost[0]} differs")
    states = torch.load(place / "optimisers.pt", weights_only=True)
    for optimiser, one, rate in zip(learner.optimisers, states, learner.rates, strict=True):
        optimiser.load_state_dict(one)
        for group in optimiser.param_groups:  # a run may go on with another rate than it began with
            group["initial_lr"] = rate
    learner.done, learner.penalty = numbers.pop("done"), numbers.pop("penalty")
    return PpoState(**{**numbers, "moments": RunningMoments(**numbers["moments"])})


def _checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints, the oldest first; half-written ones begin with a dot."""
    return sorted((folder / CHECKPOINTS).glob("round-*"), key=lambda path: int(path.name[6:]))


def _trained(model: nn.Module) -> dict[str, Tensor]:
    """Return the trainable tensors, each once; frozen weights under adapters are the base model's."""
    return {
        name: weights.detach().contiguous()
        for name, weights in model.named_parameters()
        if weights.requires_grad
    }
