"""Whether language models judge answers or positions, by published verdicts on LLMBar."""
