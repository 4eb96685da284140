"""What comes in and goes out: rows -> tasks, labels -> records to train on, and labels carried elsewhere."""
