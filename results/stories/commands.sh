mkdir -p runs/stories && cp results/stories/prompts/*.jsonl runs/stories
# tell stories to the prompts
evalkit generate --policy ../shared/data/stories260k --data runs/stories/reward-prompts.jsonl --n 16 --max_new_tokens 64 --seed 0 --out runs/stories/reward-samples.jsonl
# score them
evalkit score --scorer 'ensemble:rule:pattern%3Fpattern="[A-Z][^"]+[.!%3F%2C]",rule:pattern%3Fpattern=[.!%3F]"%3F\s*$,rule:pattern%3Fpattern=^\s*(\S+\s+){24}\S,rule:random%3Fseed=0?combine=sum&weights=1,1,1,1.5' --data runs/stories/reward-samples.jsonl --out runs/stories/reward-scored.jsonl
# pair them at random
evalkit select --data runs/stories/reward-scored.jsonl --k 16 --pairs first-round --seed 0 --out runs/stories/reward-labels.jsonl
# tell stories to the prompts
evalkit generate --policy ../shared/data/stories260k --data runs/stories/held-out.jsonl --n 16 --max_new_tokens 64 --seed 100 --out runs/stories/held-out-samples.jsonl
# score them
evalkit score --scorer 'ensemble:rule:pattern%3Fpattern="[A-Z][^"]+[.!%3F%2C]",rule:pattern%3Fpattern=[.!%3F]"%3F\s*$,rule:pattern%3Fpattern=^\s*(\S+\s+){24}\S?combine=sum' --data runs/stories/held-out-samples.jsonl --out runs/stories/held-out-scored.jsonl
# pair them at random
evalkit select --data runs/stories/held-out-scored.jsonl --k 16 --pairs first-round --seed 0 --out runs/stories/held-out-labels.jsonl
# train a reward model on noisy labels
evalkit train outcome --data runs/stories/reward-labels.jsonl --out runs/stories/reward --body.name ../shared/data/stories260k --evaluation_data runs/stories/held-out-labels.jsonl --training.learning_rate 0.001 --training.epochs 3 --training.seed 0 --training.tensorboard false
# its accuracy on held-out labels without noise
evalkit evaluate --scorer runs/stories/reward --data runs/stories/held-out-labels.jsonl --out runs/stories/reward-card
# tell stories to the prompts
evalkit generate --policy ../shared/data/stories260k --data runs/stories/reward-prompts.jsonl --n 16 --max_new_tokens 64 --seed 1 --out runs/stories/judge-samples.jsonl
# score them
evalkit score --scorer 'ensemble:rule:pattern%3Fpattern="[A-Z][^"]+[.!%3F%2C]",rule:pattern%3Fpattern=[.!%3F]"%3F\s*$,rule:pattern%3Fpattern=^\s*(\S+\s+){24}\S,rule:random%3Fseed=1?combine=sum&weights=1,1,1,1.5' --data runs/stories/judge-samples.jsonl --out runs/stories/judge-scored.jsonl
# pair them at random
evalkit select --data runs/stories/judge-scored.jsonl --k 16 --pairs first-round --seed 1 --out runs/stories/judge-labels.jsonl
# train a reward model on noisy labels
evalkit train outcome --data runs/stories/judge-labels.jsonl --out runs/stories/judge --body.name ../shared/data/stories260k --evaluation_data runs/stories/held-out-labels.jsonl --training.learning_rate 0.001 --training.epochs 3 --training.seed 1 --training.tensorboard false
# its accuracy on held-out labels without noise
evalkit evaluate --scorer runs/stories/judge --data runs/stories/held-out-labels.jsonl --out runs/stories/judge-card
# tell stories to the prompts
evalkit generate --policy ../shared/data/stories260k --data runs/stories/prompts.jsonl --n 16 --max_new_tokens 64 --seed 2 --out runs/stories/samples.jsonl
# score them
evalkit score --scorer 'rule:pattern?pattern=(?s)\b(happ|friend|smil|laugh|hug|help|shar|thank)(?!.*\b\1)&count=true' --data runs/stories/samples.jsonl --out runs/stories/rule-scored.jsonl
# pair them at random
evalkit select --data runs/stories/rule-scored.jsonl --k 16 --pairs tournament --seed 0 --out runs/stories/rule-pairs.jsonl
# DPO against kind words
evalkit train dpo --policy ../shared/data/stories260k --out runs/stories/rule/dpo --data runs/stories/rule-pairs.jsonl --dpo.beta 0.1 --training.learning_rate 0.0001 --training.epochs 2 --training.seed 0 --training.tensorboard false --probe.scorer 'rule:pattern?pattern=(?s)\b(happ|friend|smil|laugh|hug|help|shar|thank)(?!.*\b\1)&count=true' --probe.data runs/stories/held-out.jsonl --probe.gold 'rule:pattern?pattern=(?s)\b(happ|friend|smil|laugh|hug|help|shar|thank)(?!.*\b\1)&count=true' --probe.prompts 64 --probe.max_new_tokens 64
# RSO against kind words
evalkit train rso --policy ../shared/data/stories260k --out runs/stories/rule/rso --data runs/stories/prompts.jsonl --scorer 'rule:pattern?pattern=(?s)\b(happ|friend|smil|laugh|hug|help|shar|thank)(?!.*\b\1)&count=true' --n 24 --k 6 --pairs all --beta 0.5 --drawing.max_new_tokens 64 --dpo.beta 0.1 --training.learning_rate 0.0001 --training.epochs 2 --training.seed 0 --training.tensorboard false --training.max_steps 70 --probe.data runs/stories/held-out.jsonl --probe.gold 'rule:pattern?pattern=(?s)\b(happ|friend|smil|laugh|hug|help|shar|thank)(?!.*\b\1)&count=true' --probe.prompts 64 --probe.max_new_tokens 64
# PPO against kind words
evalkit train ppo --policy ../shared/data/stories260k --out runs/stories/rule/ppo --data runs/stories/prompts.jsonl --scorer 'rule:pattern?pattern=(?s)\b(happ|friend|smil|laugh|hug|help|shar|thank)(?!.*\b\1)&count=true' --ppo.episodes 2048 --ppo.buffer 256 --ppo.batch 64 --ppo.learning_rate 3e-4 --ppo.critic_learning_rate 1e-3 --ppo.epochs 2 --ppo.kl_coefficient 0.05 --ppo.max_gradient_norm 1 --ppo.max_new_tokens 64 --ppo.seed 0 --tensorboard false --probe.data runs/stories/held-out.jsonl --probe.gold 'rule:pattern?pattern=(?s)\b(happ|friend|smil|laugh|hug|help|shar|thank)(?!.*\b\1)&count=true' --probe.prompts 64 --probe.max_new_tokens 64
# best-of-n against kind words
evalkit train best-of-n --policy ../shared/data/stories260k --out runs/stories/rule/best-of-n --data runs/stories/prompts.jsonl --scorer 'rule:pattern?pattern=(?s)\b(happ|friend|smil|laugh|hug|help|shar|thank)(?!.*\b\1)&count=true' --n 16 --k 1 --rounds 2 --drawing.max_new_tokens 64 --training.learning_rate 0.0003 --training.epochs 3 --training.seed 0 --training.tensorboard false --training.batch_prompts 16 --probe.data runs/stories/held-out.jsonl --probe.gold 'rule:pattern?pattern=(?s)\b(happ|friend|smil|laugh|hug|help|shar|thank)(?!.*\b\1)&count=true' --probe.prompts 64 --probe.max_new_tokens 64
# compare all that kind words made
evalkit compare --baseline ../shared/data/stories260k --baseline_name before --policies '{"DPO": "runs/stories/rule/dpo", "RSO": "runs/stories/rule/rso", "PPO": "runs/stories/rule/ppo", "best-of-n": "runs/stories/rule/best-of-n"}' --data runs/stories/held-out.jsonl --scorers '{"kind words": "rule:pattern?pattern=(?s)\\b(happ|friend|smil|laugh|hug|help|shar|thank)(?!.*\\b\\1)&count=true", "tale": "ensemble:rule:pattern%3Fpattern=\"[A-Z][^\"]+[.!%3F%2C]\",rule:pattern%3Fpattern=[.!%3F]\"%3F\\s*$,rule:pattern%3Fpattern=^\\s*(\\S+\\s+){24}\\S?combine=sum"}' --judges '{"RM judge": "reward:runs/stories/judge"}' --samples 4 --drawing.max_new_tokens 64 --seed 0 --out runs/stories/rule-compared
# score them
evalkit score --scorer runs/stories/reward --data runs/stories/samples.jsonl --out runs/stories/model-scored.jsonl
# pair them at random
evalkit select --data runs/stories/model-scored.jsonl --k 16 --pairs first-round --seed 0 --out runs/stories/model-pairs.jsonl
# DPO against a trained reward model
evalkit train dpo --policy ../shared/data/stories260k --out runs/stories/model/dpo --data runs/stories/model-pairs.jsonl --dpo.beta 0.1 --training.learning_rate 0.0001 --training.epochs 2 --training.seed 0 --training.tensorboard false --probe.scorer runs/stories/reward --probe.data runs/stories/held-out.jsonl --probe.gold 'ensemble:rule:pattern%3Fpattern="[A-Z][^"]+[.!%3F%2C]",rule:pattern%3Fpattern=[.!%3F]"%3F\s*$,rule:pattern%3Fpattern=^\s*(\S+\s+){24}\S?combine=sum' --probe.prompts 64 --probe.max_new_tokens 64
# RSO against a trained reward model
evalkit train rso --policy ../shared/data/stories260k --out runs/stories/model/rso --data runs/stories/prompts.jsonl --scorer runs/stories/reward --n 24 --k 6 --pairs all --beta 0.5 --drawing.max_new_tokens 64 --dpo.beta 0.1 --training.learning_rate 0.0001 --training.epochs 2 --training.seed 0 --training.tensorboard false --training.max_steps 70 --probe.data runs/stories/held-out.jsonl --probe.gold 'ensemble:rule:pattern%3Fpattern="[A-Z][^"]+[.!%3F%2C]",rule:pattern%3Fpattern=[.!%3F]"%3F\s*$,rule:pattern%3Fpattern=^\s*(\S+\s+){24}\S?combine=sum' --probe.prompts 64 --probe.max_new_tokens 64
# PPO against a trained reward model
evalkit train ppo --policy ../shared/data/stories260k --out runs/stories/model/ppo --data runs/stories/prompts.jsonl --scorer runs/stories/reward --ppo.episodes 2048 --ppo.buffer 256 --ppo.batch 64 --ppo.learning_rate 3e-4 --ppo.critic_learning_rate 1e-3 --ppo.epochs 2 --ppo.kl_coefficient 0.1 --ppo.max_gradient_norm 1 --ppo.max_new_tokens 64 --ppo.seed 0 --tensorboard false --probe.data runs/stories/held-out.jsonl --probe.gold 'ensemble:rule:pattern%3Fpattern="[A-Z][^"]+[.!%3F%2C]",rule:pattern%3Fpattern=[.!%3F]"%3F\s*$,rule:pattern%3Fpattern=^\s*(\S+\s+){24}\S?combine=sum' --probe.prompts 64 --probe.max_new_tokens 64
# best-of-n against a trained reward model
evalkit train best-of-n --policy ../shared/data/stories260k --out runs/stories/model/best-of-n --data runs/stories/prompts.jsonl --scorer runs/stories/reward --n 16 --k 1 --rounds 2 --drawing.max_new_tokens 64 --training.learning_rate 0.0003 --training.epochs 3 --training.seed 0 --training.tensorboard false --training.batch_prompts 16 --probe.data runs/stories/held-out.jsonl --probe.gold 'ensemble:rule:pattern%3Fpattern="[A-Z][^"]+[.!%3F%2C]",rule:pattern%3Fpattern=[.!%3F]"%3F\s*$,rule:pattern%3Fpattern=^\s*(\S+\s+){24}\S?combine=sum' --probe.prompts 64 --probe.max_new_tokens 64
# compare all that a trained reward model made
evalkit compare --baseline ../shared/data/stories260k --baseline_name before --policies '{"DPO": "runs/stories/model/dpo", "RSO": "runs/stories/model/rso", "PPO": "runs/stories/model/ppo", "best-of-n": "runs/stories/model/best-of-n"}' --data runs/stories/held-out.jsonl --scorers '{"proxy": "runs/stories/reward", "gold": "ensemble:rule:pattern%3Fpattern=\"[A-Z][^\"]+[.!%3F%2C]\",rule:pattern%3Fpattern=[.!%3F]\"%3F\\s*$,rule:pattern%3Fpattern=^\\s*(\\S+\\s+){24}\\S?combine=sum"}' --judges '{"RM judge": "reward:runs/stories/judge"}' --samples 4 --drawing.max_new_tokens 64 --seed 0 --out runs/stories/model-compared
