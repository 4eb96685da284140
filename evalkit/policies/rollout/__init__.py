"""Rollouts of a policy in training: sampled responses, their token rewards and their order.

- `order.py`: The order of a run: each round's prompts, the seed of its samples, and its minibatches
- `reward_scale.py`: Reward normalisation by the running mean and standard deviation, and clipping
- `rollout.py`: Rollouts: sampled responses with rewards and log-probabilities under policy and reference
- `round_log.py`: Metrics of a run in rounds: metrics.jsonl, TensorBoard and the progress bar
- `side_by_side.py`: Runs two computations in parallel on the CPU, a thread for each instead of all for
  both in turn
- `token_credit.py`: Credit assignment: a score at the last token, span and step scores at the tokens
  where they end
"""
