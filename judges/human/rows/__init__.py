"""Import and export: rows to tasks, labels to training records, and labels to other stores."""
