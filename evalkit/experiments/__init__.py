"""Whole experiments, each run by its own command; nothing else imports them.

- `entry.py`: How `python -m evalkit.experiments.NAME` begins: it parses, and only then imports what
  computes
- `annotation_coverage/`: How often the intervals of annotation studies hold the truth
- `annotation_screens/`: Pictures of the annotation page
- `annotation_study/`: People's labels end to end: can a study of labels put a judge right, and do its
  intervals hold
- `exact_tilt/`: PPO, DPO and RSO against the exact optimum of a toy world
- `facts_overoptimization/`: Overoptimization against reward model size and labels in the world of facts
- `fine_grained/`: Aspects learnt from spans against one preference reward
- `fine_grained_ppo/`: Span rewards in PPO against one holistic reward
- `gsm8k_outcome/`: An outcome reward model of GSM8K's model solutions
- `llmbar_judges/`: Whether language models judge answers or positions, by published verdicts on LLMBar
- `ppo_max/`: PPO-max against plain PPO, and with each of its parts left out
- `process_vs_outcome/`: Process against outcome reward models under best of n
- `simulated_annotators/`: Simulated people who answer annotation tasks over HTTP, in a world whose truth
  is known
- `stories/`: Children's stories improved by commands alone
"""
