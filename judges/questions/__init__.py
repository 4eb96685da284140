"""Questions to a model: prompts, rubrics, answer formats, and the parsing of replies."""
