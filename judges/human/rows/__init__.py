"""Import and export: rows to tasks, labels to training records, and labels to other stores.

- `export.py`: Labels as verdicts, as preferences, rankings, step and span labels to train on, and as
  ratings
- `gold.py`: Known answers of planted checks, from a column `gold`
- `importing.py`: Rows -> labels: exported ones as they were, verdicts of people from elsewhere, and
  records to train on
- `label_rows.py`: Labels <-> rows that hold all of them, so that a store can be carried elsewhere and
  back
- `reading.py`: Rows -> tasks: which screen fits their columns, and what is wrong with a row, by its line
- `row_answers.py`: The prompt, the answers and their systems in a row's columns, whichever of the known
  ones it has
"""
