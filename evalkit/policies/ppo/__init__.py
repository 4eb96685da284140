"""PPO: critics, advantages and returns, updates, the training loop, and the fit that runs it.

- `checkpoint.py`: PPO checkpoints to resume from: weights, optimizer states, running statistics; written
  atomically
- `config.py`: The configuration of `evalkit train ppo`, and the recipes with the defaults of its switches
- `critic.py`: The critic: the value of the state before every response token, with its own tokenizer
- `fit.py`: Trains a policy by PPO from prompts and a scorer, saves its folder, and resumes killed runs
- `learner.py`: One PPO update of policy and critic from a batch of responses, in micro-batches
- `rounds.py`: The PPO training loop: rounds of rollouts and updates, probes, early stopping and resuming
- `shared_critic.py`: A critic that shares the policy's transformer: a value head on its hidden states
- `targets.py`: Advantages and returns of every token of a rollout
"""
