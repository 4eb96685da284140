"""Every reply ever given, kept in one SQLite file, so that nothing is asked or paid twice."""
