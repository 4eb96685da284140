"""`evalkit generate`: samples for every prompt of a file, written row by row."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice

from evalkit.pipeline.config import Generate
from evalkit.policies.policy import Policy, PromptCheck, SamplingConfig, load_policy
from evalkit.runs.files import fingerprint, spec_fingerprint
from evalkit.runs.outputs import ResumableRows
from evalkit.runs.terminal import progress, say
from rewards.errors import DataError
from rewards.files import Row, read_rows
from rewards.records import Generation, prompt_key

CHUNK = 512
"""Samples made and written at a time; fixed, so that no result depends on where a restart fell."""
CHECKED = 1024
"""Prompts checked at a time."""
WRITTEN = ("responses", "finish_reasons", "token_counts", "tokens", "log_probs")
"""Columns of the output, each a list of one element for each sample; the last two on request."""
AMBIGUOUS = ("response", "steps", *WRITTEN)
"""Columns that beside `responses` would say something else than the samples."""


def run(config: Generate) -> None:
    """Sample `n` responses to each prompt, write them with the prompt's other columns, and print a summary.

    Raises:
        EvalkitError: The policy, the data or the output cannot be used; checked before anything is sampled.
    """
    settings = _sampling(config)
    policy = load_policy(config.policy)
    occurrences = _check(config, policy)
    values = {name: value for name, value in asdict(config).items() if name != "overwrite"}
    key = {**values, "policy": spec_fingerprint(config.policy), "data": fingerprint(config.data)}
    with ResumableRows(config.out, key, config.overwrite) as writer:
        if writer.rows_done:
            say(f"Going on after {writer.rows_done} of {len(occurrences)} prompts")
        began, before = time.perf_counter(), writer.rows_done
        _sample(config, settings, policy, occurrences, writer)
        seconds = time.perf_counter() - began
        writer.finish()
    say("\n".join(_summary(config.out, before, seconds)))
    say(f"Results are in {config.out}")


def _sampling(config: Generate) -> SamplingConfig:
    return SamplingConfig(
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        max_new_tokens=config.max_new_tokens,
        stop=tuple(config.stop),
        seed=config.seed,
        log_probs=config.log_probs,
        batch_size=config.batch_size,
    )


def _rows(config: Generate, start: int = 0) -> Iterator[Row]:
    return islice(
        read_rows(config.data, start, config.rename), config.limit - start if config.limit else None
    )


def _check(config: Generate, policy: Policy) -> list[int]:
    """Refuse rows that cannot be continued; return how often each row's prompt occurred before it."""
    seen: Counter[str] = Counter()
    occurrences = []
    rows = _rows(config)
    while chunk := list(islice(rows, CHECKED)):
        prompts = [row.prompt() for row in chunk]
        for row, prompt in zip(chunk, prompts, strict=True):
            for name in AMBIGUOUS:
                if name in row.values:
                    raise DataError(
                        f"{row.where}: field {name!r} is a column that the output writes; "
                        f'--rename \'{{"{name}": "reference_{name}"}}\' keeps it by another name'
                    )
            key = prompt_key(prompt)
            occurrences.append(seen[key])
            seen[key] += 1
        if isinstance(policy, PromptCheck):
            policy.check(prompts, [row.where for row in chunk])
    return occurrences


def _sample(
    config: Generate,
    settings: SamplingConfig,
    policy: Policy,
    occurrences: Sequence[int],
    writer: ResumableRows,
) -> None:
    done, total = writer.rows_done, len(occurrences)
    if done == total:  # a kill came after the last row
        return
    prompts_at_a_time = max(1, max(CHUNK, config.batch_size) // config.n)
    rows = _rows(config, done)
    with progress("sampling", total, done=done, unit="prompts") as shown:
        while chunk := list(islice(rows, prompts_at_a_time)):
            began = time.perf_counter()
            asked = [row.prompt() for row in chunk]
            samples = policy.generate(asked, config.n, settings, occurrences[done : done + len(chunk)])
            written = [_output(row, made, settings) for row, made in zip(chunk, samples, strict=True)]
            writer.append(written, len(chunk))
            done += len(chunk)
            tokens = sum(_token_count(sample) for made in samples for sample in made)
            speed = f"{tokens / (time.perf_counter() - began):,.0f} tokens/s"
            shown.advance(len(chunk), speed)


def _output(row: Row, samples: Sequence[Generation], settings: SamplingConfig) -> dict[str, object]:
    """Return a prompt's row with its samples: lists with an element for each sample."""
    output: dict[str, object] = {
        **row.values,
        "responses": [sample.response for sample in samples],
        "finish_reasons": [sample.extra["finish_reason"] for sample in samples],
        "token_counts": [_token_count(sample) for sample in samples],
    }
    if settings.log_probs:
        output["tokens"] = [sample.extra["tokens"] for sample in samples]
        output["log_probs"] = [sample.extra["log_probs"] for sample in samples]
    return output


def _token_count(sample: Generation) -> int:
    count = sample.extra["token_count"]
    if not isinstance(count, int):
        raise TypeError(f"a policy's token_count is a whole number, got {count!r}")
    return count


def _summary(out: str, before: int, seconds: float) -> Iterator[str]:
    """Yield a summary of the finished file; the speed is that of the rows after `before`."""
    samples = tokens = new_tokens = cut = distinct = 0
    for number, row in enumerate(read_rows(out)):
        reasons = row.texts_in("finish_reasons")
        made = sum(count for count in row.list_in("token_counts") if isinstance(count, int))
        samples += len(reasons)
        tokens += made
        new_tokens += made if number >= before else 0
        cut += reasons.count("length")
        distinct += len(set(row.texts_in("responses")))
    yield f"{samples:,} samples, {tokens:,} tokens"
    if new_tokens:
        yield f"{new_tokens / seconds:,.0f} tokens/s"
    yield f"{cut / samples:.1%} cut by length, {distinct / samples:.1%} distinct within their prompt"
