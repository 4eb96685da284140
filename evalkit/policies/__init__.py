"""Policies: what writes responses to prompts, and how one is trained.

Every `fit_*(model, encoder, train, held_out, config, out)` trains a policy and saves it as a folder that
`load_policy` and Transformers load; `load_trainable` loads model and encoder to begin with. `train` and
`held_out` are records, or `rewards.training.Labelled` records with their names for error messages;
`held_out=None` holds out a share of the prompts.

- `checkpoint.py`: Loads and saves policies as Transformers folders with `policy.json` beside the weights
- `config.py`: Settings of sampling, of the probe and of DPO, for Python and the command line alike
- `dpo.py`: Direct preference optimisation and its family: trains a policy on pairs, computing a prompt
  once
- `fitting.py`: Shared by SFT and DPO: the facts of the start, the probe, the training run and the saved
  folder
- `implicit.py`: DPO's implicit reward as a scorer, `dpo:POLICY?reference=REF`: the log-ratio of policy to
  reference
- `language_model.py`: A causal language model in training: the log-probability of each response token,
  packed or padded
- `loading.py`: Loads a policy to train, and the encoder of its responses, by name
- `policy.py`: The policy protocol, which generates responses; the sampling settings; loading a policy by
  name
- `reference.py`: The reference policy: recorded by name and hash in a run, and refused on resume if it
  changed
- `reference_log_probs.py`: The reference's log-probabilities of pairs, computed once and kept in the
  run's folder
- `response_rows.py`: Prompts and responses to rows of tokens: the response's start, its EOS, and
  truncation
- `sft.py`: Supervised fine-tuning: the log-likelihood of responses given prompts, each prompt computed
  once
- `generation/`: Sampling from a policy: the local model, decoding, KV cache, tokenisation and random
  numbers
- `losses/`: Policy losses: pairwise losses, PPO, advantages and KL estimators. Tensors in, tensors out
- `ppo/`: PPO: critics, advantages and returns, updates, the training loop, and the fit that runs it
- `probe/`: Probes of a policy in training on held-out prompts: reward, KL, length and signs of collapse
- `rollout/`: Rollouts of a policy in training: sampled responses, their token rewards and their order
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
