"""Sampling from a policy: the local model, decoding, KV cache, tokenisation and random numbers."""
