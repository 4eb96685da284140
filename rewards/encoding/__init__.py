"""Text to tokens: prompts with responses, steps, spans and pieces, and packs of rows that share prefixes."""
