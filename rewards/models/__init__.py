"""Heads on Transformers bodies, and loading and saving their checkpoints.

- `attention.py`: Attention over packed rows, so that a prefix many rows share is computed once, exactly
- `bodies.py`: The Transformers model under a head: from a folder, from the Hub, or new from sizes
- `checkpoint.py`: Load and save reward models as Transformers folders, with `evalkit.json` beside; hash
  weights
- `head.py`: A linear head on a Transformers body, read at given positions of packed or padded rows
- `hub.py`: Names of models and tokenizers: folders and Hub ids, and whether the Hub can be reached
- `outcome.py`: Outcome reward models: a head on a Transformers body, and the token at which a score is
  read
- `sidecar.py`: evalkit.json beside a model's weights: tokenization, the tokens at which scores are read,
  their scale
- `tokens.py`: Token-level reward models: scores at the end of each step, or of each piece of a response
"""
