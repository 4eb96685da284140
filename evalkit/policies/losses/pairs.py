"""Pairwise losses (DPO and its family) and implicit rewards: tensors in, tensors out."""

import math

from torch import Tensor
from torch.nn.functional import logsigmoid, relu

from evalkit.policies.losses.shapes import alike
from rewards.errors import ConfigError


def dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    beta: float = 0.1,
    kind: str = "sigmoid",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return each pair's loss, [B].

    With the log-ratios `lr = log pi - log pi_ref` of whole responses, `d = lr_chosen - lr_rejected`,
    `h = beta d` and e the label smoothing, the kinds are

    - sigmoid: `-log sigmoid(h)`; DPO (arXiv 2305.18290, eq. 7), RSO's sigmoid-norm (2309.06657);
    - hinge: `max(0, 1 - h)`; RSO's hinge-norm (2309.06657);
    - slic: `max(0, 1 - beta (log pi_chosen - log pi_rejected))`; without reference (SLiC-HF, 2305.10425);
    - ipo: `(d - 1 / (2 beta))^2`, of sums and not of means over tokens (2310.12036, eq. 17; beta is its tau);
    - cdpo: `-(1 - e) log sigmoid(h) - e log sigmoid(-h)`; labels wrong with probability e;
    - robust: `(-(1 - e) log sigmoid(h) + e log sigmoid(-h)) / (1 - 2 e)`, whose mean over such labels is the
      sigmoid loss of the right ones (2403.00409); it has no lower bound.

    Args:
        policy_chosen: Log-probability of the chosen response under the policy, summed over tokens, [B].
        policy_rejected: That of the rejected one, [B].
        reference_chosen: That of the chosen one under the reference, [B]; slic does not use its values.
        reference_rejected: That of the rejected one, [B].
        beta: Above 0.
        kind: One of the above.
        label_smoothing: In [0, 0.5); 0 for kinds other than cdpo and robust.

    Raises:
        ConfigError: An argument is outside what is said here, or the shapes differ.
    """
    chosen, rejected, reference_chosen, reference_rejected = alike(
        policy_chosen=policy_chosen,
        policy_rejected=policy_rejected,
        reference_chosen=reference_chosen,
        reference_rejected=reference_rejected,
    )
    if not 0 < beta < math.inf:
        raise ConfigError(f"beta is above 0, got {beta}")
    if not 0 <= label_smoothing < 0.5:
        raise ConfigError(f"label_smoothing is in [0, 0.5), got {label_smoothing}")
    if label_smoothing and kind not in ("cdpo", "robust"):
        raise ConfigError(f"label_smoothing is for kinds cdpo and robust, got {label_smoothing} for {kind!r}")
    if kind == "slic":
        return relu(1 - beta * (chosen - rejected))
    difference = (chosen - reference_chosen) - (rejected - reference_rejected)
    right, wrong = -logsigmoid(beta * difference), -logsigmoid(-beta * difference)
    match kind:
        case "sigmoid":
            return right
        case "hinge":
            return relu(1 - beta * difference)
        case "ipo":
            return (difference - 1 / (2 * beta)) ** 2
        case "cdpo":
            return (1 - label_smoothing) * right + label_smoothing * wrong
        case "robust":
            return ((1 - label_smoothing) * right - label_smoothing * wrong) / (1 - 2 * label_smoothing)
    raise ConfigError(f"kind is sigmoid, hinge, slic, ipo, cdpo or robust, got {kind!r}")


def dpo_rewards(policy: Tensor, reference: Tensor, beta: float = 0.1) -> Tensor:
    """Return DPO's implicit rewards `beta (log pi - log pi_ref)`, of the shape of both (2305.18290, eq. 5).

    They are rewards up to a term of the prompt alone: compare them between responses to one prompt only.
    """
    policy, reference = alike(policy=policy, reference=reference)
    return beta * (policy - reference)
