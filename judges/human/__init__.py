"""People as judges: a blind annotation page, whose labels are kept as events and read as verdicts.

- `answers.py`: Answers of people on each screen: checked, and mapped between the order shown and the
  task's order
- `assignment.py`: Assignment of tasks: the next task, the order of its answers, and the sample for
  unbiased win rates
- `judge.py`: People as a judge: `human:DB` queues comparisons as tasks, and returns the verdicts so far
- `labels.py`: Records of the store: annotators, the task in hand, posts, and the labels that stand
- `priorities.py`: Priorities of comparisons for human labels: how far the judges disagree on them
- `store.py`: Store, where labels are kept: tasks, annotators, leases, and events that are only ever added
- `study.py`: Study, the settings by which tasks are handed out and shown; kept in the store beside the
  labels
- `tasks.py`: Task, a question to a person: two answers, K answers, a solution's steps, or an answer's
  spans
- `database/`: Where labels are kept, behind `judges.human.store`: the only SQL, and how one writes at a
  time
- `figures/`: Progress of a study: speed, checks, position bias, agreement, and a fair sample of labels.
  Pure
- `rows/`: Import and export: rows to tasks, labels to training records, and labels to other stores
- `web/`: The page on which people answer, and the admin view: HTTP, guards, and text that cannot act
"""
