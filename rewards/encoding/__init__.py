"""Text to tokens: prompts with responses, steps, spans and pieces, and packs of rows that share prefixes.

- `alignment.py`: Character offsets to token positions under any tokenizer: where a span's reward is paid
  in a rollout
- `encoder.py`: Text to tokens: prompt and response rendered, joined, tokenised once; one rule for
  over-long rows
- `packs.py`: Rows of tokens to packs: shared prefixes, row ends and attention patterns; no torch
- `segments.py`: The pieces of a response that aspects are scored by: sub-sentences, sentences, the whole;
  their targets
- `span_encoder.py`: Responses to tokens, and the token at which each piece ends, by the density of each
  aspect
- `step_encoder.py`: Solutions to tokens, and the token at which each step ends; an unstable separator is
  refused
"""
