"""Every `evalkit train`: reward models and policies.

- `aspects.py`: `evalkit train aspects`: trains a multi-aspect reward model on labelled spans or aspects
- `best_of_n.py`: `evalkit train best-of-n`: rounds of sampling, keeping the best by reward, and
  fine-tuning on them
- `best_of_n_figures.py`: Figure of best-of-n rounds: mean reward of each round's samples and of the kept
  ones
- `best_of_n_rounds.py`: A round of best-of-n distillation: keeps the best scored samples, with the
  round's statistics
- `config.py`: Configurations of the commands that train reward models
- `dpo.py`: `evalkit train dpo`: trains a policy on preferences by DPO or a related loss
- `outcome.py`: `evalkit train outcome`: trains an outcome reward model on preferences
- `policy_config.py`: One frozen configuration per command that trains policies
- `policy_figures.py`: Figures of policies in training: the panels of one run, or of several runs in
  comparison
- `policy_panels.py`: The panels of the training figure of a policy, and the curves of each
- `policy_run.py`: What `evalkit train sft` and `evalkit train dpo` share: the run's folder, the
  reference, the report
- `ppo.py`: `evalkit train ppo`: optimises a policy against a scorer with a KL penalty to its reference
- `rso.py`: `evalkit train rso`: sample, score, accept by rejection sampling, pair, and train on the pairs
- `rso_pairs.py`: The pairs of an RSO run: turns scored samples into pairs.jsonl and the summary
  selection.json
- `run.py`: Shared by all `evalkit train` commands: reading data, the run's folder, the report
- `sampling.py`: Shared by RSO and best-of-n: early checks, sampling and scoring, publishing the policy
- `sft.py`: `evalkit train sft`: fine-tunes a policy on responses
- `steps.py`: `evalkit train process` and `evalkit train correctness`: train on step labels or graded
  solutions
"""
