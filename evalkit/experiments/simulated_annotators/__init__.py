"""Simulated people who answer annotation tasks over HTTP, in a world whose truth is known.

- `__main__.py`: Simulated annotators, who sign in by their links and work on the real pages over HTTP,
  many at once
- `annotators.py`: Simulated annotators at work over HTTP, a thread each, and the server that they work on
- `browser.py`: The annotation page as a browser without a screen sees it: over HTTP, with its cookie,
  read as HTML
- `config.py`: Settings of simulated annotators: who works where, how fast and for how long
- `experiment.py`: Everybody who has a link works at once, and what they were told is written
- `world.py`: A world in which it is known which answer is better, how people and a judge err, and what
  follows of it
"""
