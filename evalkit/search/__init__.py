"""Search for solutions step by step, guided by a process scorer, with one budget for all methods.

- `budget.py`: The compute budget of a search: counts per prompt, comparable between methods and batches
- `choosing.py`: Chooses among a prompt's solutions by score and by votes, and makes the output row
- `command.py`: `evalkit search`: solutions for every prompt of a file, by a policy and a process scorer
- `config.py`: Configuration of `evalkit search`
- `findings.py`: Summary of a finished search: endings, budget and accuracy, read from its rows
- `prompts.py`: Prompts to search, checked before anything is sampled, and the state of each search
- `rounds.py`: Searches many prompts in parallel: one policy call and one scorer call per step
- `trees.py`: Search trees: partial solutions that grow step by step, of which the best are kept
"""
