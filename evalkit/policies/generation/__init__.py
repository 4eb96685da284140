"""How a policy samples: a local model, decoding, its cache, texts and randomness."""
