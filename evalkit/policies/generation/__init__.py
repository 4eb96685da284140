"""Sampling from a policy: the local model, decoding, KV cache, tokenisation and random numbers.

- `cache.py`: A KV cache that grows in place: another token does not copy those before it
- `decoding.py`: Decoding: one prefill a prompt, its KV cache shared by the samples; finished rows leave
  the batch
- `local.py`: The local policy: any causal language model of Transformers, in this process
- `randomness.py`: Random numbers determined by seed, prompt, sample number and decoding step, whatever
  the batch
- `texts.py`: Tokenises prompts, decodes responses, and finds stop sequences
"""
