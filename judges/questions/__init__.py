"""Questions to a model: prompts, rubrics, answer formats, and the parsing of replies.

- `parsing.py`: Parse a judge's reply, never guessing: a reply without the requested form has no verdict
- `question.py`: Question to a judge, keyed by its content; and Attempt, the outcome of asking it
- `reply.py`: A chat endpoint's wire format: a question as a request's body, a response's body as a Reply
- `rubric.py`: Rubric: the criteria by which answers are graded, their weights and their scale, from a
  YAML file
- `schema.py`: Structured outputs: the JSON schema for a judge's answer, and parsing the answer
- `templates.py`: Prompt files: read, checked, and filled so that nothing in an answer can pass for the
  prompt
- `yaml_file.py`: A YAML file read strictly: malformed YAML and duplicate keys are errors
"""
