"""Policies: what writes responses to prompts, and how one is trained.

Every `fit_*(model, encoder, train, held_out, config, out)` trains a policy and saves it as a folder that
`load_policy` and Transformers load; `load_trainable` loads model and encoder to begin with. `train` and
`held_out` are records, or `rewards.training.Labelled` records with their names for error messages;
`held_out=None` holds out a share of the prompts.
"""

from typing import TYPE_CHECKING

from rewards.lazy import names_on_demand

__all__ = [
    "DpoConfig",
    "LanguageModel",
    "Policy",
    "PolicyFit",
    "PpoConfig",
    "PpoFit",
    "PpoOptions",
    "ProbeConfig",
    "ResponseEncoder",
    "SamplingConfig",
    "fit_dpo",
    "fit_ppo",
    "fit_sft",
    "load_policy",
    "load_trainable",
]

if TYPE_CHECKING:
    from evalkit.policies.config import DpoConfig, ProbeConfig
    from evalkit.policies.dpo import fit_dpo
    from evalkit.policies.fitting import PolicyFit
    from evalkit.policies.language_model import LanguageModel
    from evalkit.policies.loading import load_trainable
    from evalkit.policies.policy import Policy, SamplingConfig, load_policy
    from evalkit.policies.ppo.config import PpoConfig
    from evalkit.policies.ppo.fit import PpoFit, PpoOptions, fit_ppo
    from evalkit.policies.response_rows import ResponseEncoder
    from evalkit.policies.sft import fit_sft
else:
    __getattr__ = names_on_demand(
        __name__,
        {
            "evalkit.policies.config": ["DpoConfig", "ProbeConfig"],
            "evalkit.policies.dpo": ["fit_dpo"],
            "evalkit.policies.fitting": ["PolicyFit"],
            "evalkit.policies.language_model": ["LanguageModel"],
            "evalkit.policies.loading": ["load_trainable"],
            "evalkit.policies.policy": ["Policy", "SamplingConfig", "load_policy"],
            "evalkit.policies.ppo.config": ["PpoConfig"],
            "evalkit.policies.ppo.fit": ["PpoFit", "PpoOptions", "fit_ppo"],
            "evalkit.policies.response_rows": ["ResponseEncoder"],
            "evalkit.policies.sft": ["fit_sft"],
        },
    )
__dir__ = __all__.copy  # what a notebook completes
