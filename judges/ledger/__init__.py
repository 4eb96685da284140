"""The ledger of every reply, in one SQLite file, so that no question is asked or paid twice."""
