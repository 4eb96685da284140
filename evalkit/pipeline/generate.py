"""`evalkit generate`: samples for every prompt of a file, written row by row."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice

from evalkit.pipeline.config import Generate
from evalkit.policies.config import Drawing
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


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A file of rows with a prompt column."""

    data: str
    """File, folder or Hub name."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names."""
    limit: int = 0
    """Use the first rows only; 0 uses all."""

    def rows(self, start: int = 0) -> Iterator[Row]:
        """Yield the rows from one on."""
        return islice(read_rows(self.data, start, self.rename), self.limit - start if self.limit else None)


def run(config: Generate) -> None:
    """Sample `n` responses to each prompt, write them with the prompt's other columns, and print a summary.

    Raises:
        EvalkitError: The policy, the data or the output cannot be used; checked before anything is sampled.
    """
    source = PromptFile(config.data, config.rename, config.limit)
    settings = sampling_config(config, config.seed, config.log_probs)
    sample_file(config.policy, source, config.out, config.n, settings, overwrite=config.overwrite)


def sample_file(
    policy: str, source: PromptFile, out: str, n: int, settings: SamplingConfig, *, overwrite: bool = False
) -> None:
    """Sample responses to each prompt of a file; a repeated call goes on where a killed one stopped.

    Args:
        policy: Model folder or Hub id.
        source: The prompts; their other columns are written too.
        out: File of rows {prompt, responses}.
        n: Samples for each prompt.
        settings: How they are sampled.
        overwrite: Replace a finished output.

    Raises:
        EvalkitError: The policy, the data or the output cannot be used; checked before anything is sampled.
    """
    loaded = load_policy(policy)
    occurrences = _check(source, loaded)
    key = {
        **asdict(settings),
        **asdict(source),
        "out": out,
        "n": n,
        "policy": spec_fingerprint(policy),
        "data": fingerprint(source.data),
    }
    with ResumableRows(out, key, overwrite) as writer:
        if writer.rows_done:
            say(f"Going on after {writer.rows_done} of {len(occurrences)} prompts")
        began, before = time.perf_counter(), writer.rows_done
        _sample(source, n, settings, loaded, occurrences, writer)
        seconds = time.perf_counter() - began
        writer.finish()
    say("\n".join(_summary(out, before, seconds)))
    say(f"Results are in {out}")


def sampling_config(drawing: Drawing, seed: int, log_probs: bool = False) -> SamplingConfig:
    """Return the settings of a policy for a command's sampling options."""
    return SamplingConfig(
        temperature=drawing.temperature,
        top_p=drawing.top_p,
        top_k=drawing.top_k,
        max_new_tokens=drawing.max_new_tokens,
        stop=tuple(drawing.stop),
        seed=seed,
        log_probs=log_probs,
        batch_size=drawing.batch_size,
    )


def _check(source: PromptFile, policy: Policy) -> list[int]:
    """Refuse rows that cannot be continued; return how often each row's prompt occurred before it."""
    seen: Counter[str] = Counter()
    occurrences = []
    rows = source.rows()
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
    source: PromptFile,
    n: int,
    settings: SamplingConfig,
    policy: Policy,
    occurrences: Sequence[int],
    writer: ResumableRows,
) -> None:
    done, total = writer.rows_done, len(occurrences)
    if done == total:  # a kill came after the last row
        return
    prompts_at_a_time = max(1, max(CHUNK, settings.batch_size) // n)
    rows = source.rows(done)
    with progress("sampling", total, done=done, unit="prompts") as shown:
        while chunk := list(islice(rows, prompts_at_a_time)):
            began = time.perf_counter()
            asked = [row.prompt() for row in chunk]
            samples = policy.generate(asked, n, settings, occurrences[done : done + len(chunk)])
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
