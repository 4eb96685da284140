"""Questions to an endpoint, answers to the ledger: calls, rate limits, retries, budget, batches.

- `asker.py`: Asker, which answers each question once, from ledger or endpoint; Questioning, a judge that
  has one
- `backoff.py`: Backoff before a call is retried: as the endpoint says, else exponential with jitter
- `batch.py`: Questions asked by the Batch API: submitted once, collected now or later, every reply kept
- `batch_api.py`: Client of the Batch API: submit a file of requests once, poll its state, and read the
  outcomes
- `batch_replies.py`: Replies of batches: each read and recorded once, unasked questions returned for the
  next run
- `calls.py`: Calls, the questions of one run in flight: a thread and event loop that ask, retry, pay and
  record
- `chat.py`: ChatClient, one call to an OpenAI-compatible endpoint: a reply, or an error with its remedy
- `claims.py`: Claims on the questions that a process is asking, shared by all on one ledger: none is paid
  twice
- `config.py`: Settings of judges behind an endpoint: address, ledger, rate limits, budget
- `endpoint.py`: Endpoint, the address that answers a judge's questions, and the three ways in which a
  call fails
- `health.py`: Health, whether an endpoint works at all, by the results of its calls; it ends what cannot
  succeed
- `limits.py`: Rate limits of an endpoint: adaptive concurrency, calls and tokens per minute, and pauses
- `money.py`: Purse, the budget of the calls in flight: reserved before each call, settled by its actual
  cost
- `plan.py`: Plan, a run's calls, cost and time before anything is asked, and the answers already in the
  ledger
- `prices.py`: Prices of models from an editable file, estimates of tokens, and a budget
- `session.py`: Session, shared by the judges of one run: settings, open ledger, prices and budget
- `tally.py`: Tally, the counts of a run of questions so far, for progress reports
"""
