"""Questions to an endpoint, answers to the ledger: calls, rate limits, retries, budget, batches."""
