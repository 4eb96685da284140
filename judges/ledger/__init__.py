"""The ledger of every reply, in one SQLite file, so that no question is asked or paid twice.

- `file.py`: A ledger's file: its tables, where nothing is ever changed or deleted, and the errors of
  opening it
- `ledger.py`: Ledger, every attempt at a question ever made, in one SQLite file: resume, pay once, reuse
  no failure
- `rows.py`: Questions and attempts as a ledger's table rows, and as rows of JSON lines to carry elsewhere
"""
