"""How questions reach an endpoint and answers the ledger: calls, limits, waits, money, batches."""
