"""`evalkit annotate` and `evalkit labels`: annotation studies with people, from tasks to statistics.

- `annotate.py`: `evalkit annotate`: adds tasks and annotators to the store, prints links, and serves the
  page
- `config.py`: One frozen configuration per annotation command: collecting, exporting and importing labels
- `invite.py`: `evalkit labels invite`: personal links for annotators, or renewed ones
- `labels.py`: `evalkit labels export` and `evalkit labels import`: human labels to rows, and back
- `links.py`: Personal links: printed, or written to a file that only its owner can read
- `serving.py`: Serves a web application: binds the port first, and releases it on SIGTERM or Ctrl-C
- `status.py`: `evalkit labels status`: progress and results so far of an annotation study
"""
