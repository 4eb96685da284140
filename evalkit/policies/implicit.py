"""DPO's implicit reward as a scorer, `dpo:POLICY?reference=REF`: the log-ratio of policy to reference."""

import math
from pathlib import Path

import torch

from evalkit.policies.checkpoint import POLICY_FILE, load_causal, read_policy
from evalkit.policies.generation.local import end_tokens
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.losses.pairs import dpo_rewards
from evalkit.policies.reference import Reference, load_reference
from evalkit.policies.response_rows import ResponseEncoder, was_cut
from rewards.errors import DataError, MissingFileError, ModelError, ScoringError, SpecError
from rewards.files import GenerationsLike, as_generations
from rewards.models.head import prepare_for_packing
from rewards.records import Score
from rewards.scorers.engine import generation_name
from rewards.scorers.loading import context_length, device
from rewards.specs import Spec

BETA = 0.1
"""Where neither the specification nor the policy's folder says it."""


class ImplicitScorer:
    """Scores a response by `beta (log pi - log pi_ref)`, summed over its tokens and its EOS.

    DPO's policy is the optimum of that reward (Rafailov et al. 2023, 2305.18290, equation 5), up to a term of
    the prompt alone: compare scores of one prompt only. A score does not depend on the batch or its order.

    Args:
        policy: The policy.
        reference: The reference policy.
        encoder: Text to tokens.
        beta: Above 0.
    """

    def __init__(
        self, policy: Reference, reference: Reference, encoder: ResponseEncoder, beta: float = BETA
    ) -> None:
        self.policy = policy
        self.reference = reference
        self.encoder = encoder
        self.beta = beta

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return one score for each generation; its aspects are both log-probabilities, in nats.

        A response whose `extra` says `finish_reason` `length` was truncated, and has no EOS to count.

        Raises:
            DataError: A row is longer than the model's context.
            ScoringError: Nothing stands before a response, or a log-probability is not finite.
        """
        generations = as_generations(generations)
        prompts = [generation.prompt for generation in generations]
        cut = [was_cut(generation.extra, "finish_reason", "finish_reasons") for generation in generations]
        encoded = (
            self.encoder.encode(prompts, [item.response for item in generations], cut) if generations else []
        )
        for row, generation in zip(encoded, generations, strict=True):
            name = generation_name(generation)
            if len(row.tokens) > self.encoder.max_length:
                raise DataError(
                    f"{name}: has {len(row.tokens)} tokens and the model takes {self.encoder.max_length}"
                )
            if not row.start:
                raise ScoringError(
                    f"{name}: there is no token before the response, so that its first has none"
                )
        rows, starts = [row.tokens for row in encoded], [row.start for row in encoded]
        sums = [
            torch.stack([row.double().sum() for row in model.log_probs(rows, starts)])
            if rows
            else torch.zeros(0, dtype=torch.float64)
            for model in (self.policy, self.reference)
        ]
        values = dpo_rewards(sums[0], sums[1], self.beta).tolist()
        scores = []
        for generation, value, policy, reference in zip(
            generations, values, sums[0].tolist(), sums[1].tolist(), strict=True
        ):
            if not math.isfinite(value):
                raise ScoringError(
                    f"{generation_name(generation)}: the policy's log-probability is {policy}, the "
                    f"reference's {reference}"
                )
            scores.append(Score(value, aspects={"policy_log_prob": policy, "reference_log_prob": reference}))
        return scores


def load_implicit_scorer(spec: Spec) -> ImplicitScorer:
    """Load `dpo:POLICY?reference=REF&beta=0.1&eos=true&device=auto`.

    A policy that `evalkit train` made records its reference and beta in its `policy.json`: then
    both may be left out, and another reference is refused. `eos=false` leaves EOS out of the sum.

    Raises:
        SpecError: No policy, no reference, or an option that is unknown or malformed.
        MissingFileError: The policy or the reference is a path, and there is no such folder.
        ModelError: One of them is no language model, their tokenizers differ, or the reference is not the
            one that the policy was trained against.
    """
    spec.allow("reference", "beta", "eos", "device")
    if not spec.rest:
        raise SpecError(f"{spec.text}: names no policy; the form is dpo:POLICY?reference=REF")
    about = read_policy(spec.rest)
    recorded = about.get("reference") or {}
    name = spec.options.get("reference") or recorded.get("name")
    if not name:
        raise SpecError(
            f"{spec.text}: the policy says of no reference that it was trained against; name it by "
            "?reference=FOLDER, the model that its training started from"
        )
    beta = spec.option("beta", float(about.get("beta", BETA)))
    if not 0 < beta < math.inf:
        raise SpecError(f"{spec.text}: option beta is above 0, got {beta}")
    place = device(spec.options.get("device", "auto"))
    model, tokenizer = load_causal(spec.rest, spec.text)
    policy = LanguageModel(model)
    policy.to(place).requires_grad_(False).eval()
    encoder = ResponseEncoder(
        tokenizer,
        context_length(model.config, tokenizer),
        end_tokens(model, tokenizer),
        spec.flag("eos", True),
    )
    reference = _reference(name, tokenizer, place, recorded, spec)
    packs = prepare_for_packing(policy)
    return ImplicitScorer(Reference(spec.rest, "", policy, packs), reference, encoder, beta)


def _reference(
    name: str,
    tokenizer: object,
    place: torch.device,
    recorded: dict[str, str],
    spec: Spec,
) -> Reference:
    try:
        reference = load_reference(name, tokenizer, place)
    except (MissingFileError, ModelError) as error:
        if "reference" in spec.options:
            raise
        raise ModelError(
            f"{error} ({Path(spec.rest) / POLICY_FILE} names it as reference; ?reference= says where it is)"
        ) from None
    if recorded and recorded.get("hash") != reference.hash:
        raise ModelError(
            f"{spec.text}: {name} hashes to {reference.hash}, and the policy was trained against "
            f"{recorded.get('name')} of {recorded.get('hash')}; the implicit reward is against that one"
        )
    return reference
