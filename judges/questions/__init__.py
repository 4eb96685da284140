"""What a model is asked, in which form it answers, and what its reply says."""
