"""Where labels are kept, behind `judges.human.store`: the only SQL, and how one writes at a time.

- `connection.py`: A database that one writes to at a time: SQLite's file or PostgreSQL's server, opened
  and checked
- `failures.py`: Errors of a store of labels, in one line with the remedy, and never with a password
- `giving.py`: Who gets which task: the one in hand, a planted check, or the next that has room for
  another answer
- `labels.py`: Labels out of the store and into it: what stands, all that happened, and labels from
  elsewhere
- `people.py`: Annotators in the store, and their personal links, of which only a digest is kept
- `posting.py`: What annotators post, kept as events: answers, skips and drafts, and what they take back
- `schema.py`: The tables of a store of labels: events that are only ever added, and caches that events
  can rebuild
- `tasks.py`: What is asked, in the store: the study's settings, tasks, and the counts of their answers
"""
