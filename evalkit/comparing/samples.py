"""Samples of a comparison: every policy's responses to the prompts, and their rewards."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalkit.comparing.config import Compare
from evalkit.pipeline.generate import PromptFile, sample_file, sampling_config
from evalkit.policies.policy import PromptCheck, load_policy
from evalkit.policies.probe.prompts import PromptRecord, scores_of
from evalkit.runs.files import fingerprint, spec_fingerprint
from evalkit.runs.outputs import ResumableRows
from evalkit.runs.terminal import progress, say
from rewards.errors import DataError
from rewards.files import read_rows
from rewards.scorer import Scorer, load_scorer, truncated

Floats = NDArray[np.float64]

CHUNK = 1024
"""Responses scored at a time; fixed, so that no reward depends on where a restart fell."""
UNFINISHED = "length"
"""The reason of a response that was cut rather than ended."""


@dataclass(frozen=True, slots=True)
class Responses:
    """One policy's responses; of each list element i is to prompt i, and its element j the j-th to it."""

    name: str
    texts: tuple[tuple[str, ...], ...]
    tokens: tuple[tuple[int, ...], ...]
    """Tokens sampled for each, EOS included."""
    reasons: tuple[tuple[str, ...], ...]
    """Finish reason of each: `eos`, `stop` or `length`."""


def policies_of(config: Compare) -> dict[str, str]:
    """Return all policies by name, the baseline last."""
    return {**config.policies, config.baseline_name: config.baseline}


def samples_path(folder: Path, name: str) -> Path:
    """Return the path of a policy's samples."""
    return folder / "samples" / f"{name}.jsonl"


def check_policies(config: Compare, asked: Sequence[PromptRecord]) -> None:
    """Load each policy without finished samples, and refuse prompts that it cannot continue.

    Raises:
        EvalkitError: A policy cannot be loaded, or a prompt is too long for it; the message names it.
    """
    for name, spec in policies_of(config).items():
        if samples_path(Path(config.out), name).exists():
            continue
        policy = load_policy(spec)
        if isinstance(policy, PromptCheck):
            policy.check([one.prompt for one in asked], [f"{one.where}, for {name}" for one in asked])


def draw_responses(config: Compare, folder: Path) -> list[Responses]:
    """Draw the missing samples of each policy, and return all responses, the baseline's last.

    Raises:
        EvalkitError: As `evalkit generate` does; or the samples that are there are not those of the prompts.
    """
    everyone = []
    for name, spec in policies_of(config).items():
        path = samples_path(folder, name)
        if not path.exists():
            say(f"Sampling from {name}, {spec}")
            source = PromptFile(config.data, config.rename, config.limit)
            settings = sampling_config(config.drawing, config.seed)
            sample_file(spec, source, str(path), config.samples, settings)
        everyone.append(_read_responses(path, name, config.samples))
    return everyone


def _read_responses(path: Path, name: str, samples: int) -> Responses:
    texts, tokens, reasons = [], [], []
    for row in read_rows(path):
        texts.append(row.texts_in("responses"))
        tokens.append(tuple(count for count in row.list_in("token_counts") if isinstance(count, int)))
        reasons.append(row.texts_in("finish_reasons"))
        found = {len(texts[-1]), len(tokens[-1]), len(reasons[-1])}
        if found != {samples}:
            raise row.expected("responses", f"{samples} with their lengths and ends", len(texts[-1]))
    return Responses(name, tuple(texts), tuple(tokens), tuple(reasons))


def reward_responses(
    config: Compare, everyone: Sequence[Responses], asked: Sequence[PromptRecord], folder: Path
) -> dict[str, dict[str, Floats]]:
    """Score the responses without rewards; each scorer is loaded once, and only if needed.

    Returns:
        For each scorer and policy the rewards [prompts * samples], by prompt and then by sample.

    Raises:
        EvalkitError: A scorer cannot be loaded, or gives a response no finite number.
    """
    rewards: dict[str, dict[str, Floats]] = {}
    for name, spec in config.scorers.items():
        paths = {one.name: folder / "scores" / name / f"{one.name}.jsonl" for one in everyone}
        left = [one for one in everyone if not paths[one.name].exists()]
        if left:
            say(f"Scoring by {name}, {spec}")
            scorer = load_scorer(spec)
            for one in left:
                key = {
                    "scorer": spec_fingerprint(spec),
                    "of": fingerprint(str(samples_path(folder, one.name))),
                }
                with ResumableRows(paths[one.name], key, overwrite=False) as output:
                    _score(scorer, name, one, asked, output)
            if cut := truncated(scorer):
                say(f"{name}: {cut:,} responses were scored with a shortened prompt")
        rewards[name] = {one: _read_rewards(path, config.samples) for one, path in paths.items()}
    return rewards


def _score(
    scorer: Scorer, name: str, responses: Responses, asked: Sequence[PromptRecord], output: ResumableRows
) -> None:
    """Write each prompt's rewards, in chunks with fixed boundaries."""
    step = max(1, CHUNK // len(responses.texts[0]))
    title = f"scoring {responses.name}"
    with progress(title, len(asked), done=output.rows_done, unit="prompts") as shown:
        for start in range(output.rows_done, len(asked), step):
            prompts = slice(start, min(start + step, len(asked)))
            rows = list(_scored(scorer, name, responses, asked, prompts))
            output.append(rows, len(rows))
            shown.advance(len(rows))
    output.finish()


def _scored(
    scorer: Scorer, name: str, responses: Responses, asked: Sequence[PromptRecord], prompts: slice
) -> Iterator[Mapping[str, object]]:
    texts = responses.texts[prompts]
    generations = [
        one.generation(text) for one, own in zip(asked[prompts], texts, strict=True) for text in own
    ]
    scores = iter(scores_of(scorer, generations, f"{name} of {responses.name}"))
    for own in texts:
        yield {"rewards": [next(scores).value for _ in own]}


def _read_rewards(path: Path, samples: int) -> Floats:
    values: list[float] = []
    for row in read_rows(path):
        own = row.list_in("rewards")
        numbers = [float(value) for value in own if isinstance(value, int | float)]
        if len(numbers) != samples:
            raise row.expected("rewards", f"{samples} numbers", own)
        values += numbers
    return np.array(values, dtype=np.float64)


def check_same_prompts(everyone: Sequence[Responses], asked: Sequence[PromptRecord], source: str) -> None:
    """Refuse samples of another number of prompts.

    Raises:
        DataError: The data changed while they were made.
    """
    for one in everyone:
        if len(one.texts) != len(asked):
            raise DataError(
                f"{source}: has {len(asked)} prompts, but {one.name} answered {len(one.texts)}; "
                "did the data change?"
            )
