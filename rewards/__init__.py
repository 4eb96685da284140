"""What is a good answer: records, scorers, reward models, selection. Imports nothing of judges or evalkit."""
