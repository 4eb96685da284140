"""Shared by RSO and best-of-n: early checks, sampling and scoring, publishing the policy."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from evalkit.pipeline.generate import PromptFile, sample_file, sampling_config
from evalkit.pipeline.score import score_file
from evalkit.policies.checkpoint import POLICY_FILE, read_policy
from evalkit.policies.probe.prompts import read_prompts
from evalkit.policies.reference import REFERENCE_FILE
from evalkit.runs.files import fingerprint, spec_fingerprint, write_json
from evalkit.runs.folder import RECORD
from evalkit.runs.terminal import say
from evalkit.training.policy_config import TrainBestOfN, TrainRso
from evalkit.training.run import RESULT
from rewards.errors import DataError, MissingFileError
from rewards.files import read_rows
from rewards.scorer import load_scorer

SAMPLES, SCORED = "samples.jsonl", "scored.jsonl"

BEST = "best"
"""Folder in a policy's with the weights that a probe's gold liked best."""

_SCORES = "scores"

_OF_THE_RUN = (RECORD, RESULT, REFERENCE_FILE, POLICY_FILE, "config.json")
"""Files of a trained policy's folder that are published last, changed or not at all."""

_NO_WEIGHTS = (".jsonl", ".png", ".html", ".csv", ".log")
"""Endings of what training leaves beside a policy's files."""


def check_sampled(config: TrainRso | TrainBestOfN) -> None:
    """Refuse inputs, before hours of sampling, that would fail after them.

    Raises:
        EvalkitError: A scorer does not load, a prompt's row has the column of its samples' scores, or the
            probe's prompts cannot be read.
    """
    probe = config.probe
    named = (config.scorer, probe.scorer, probe.gold) if probe.data else (config.scorer,)
    for spec in dict.fromkeys(filter(None, named)):
        load_scorer(spec)
    if probe.data:
        read_prompts(probe.data, {}, 1)
    for row in read_rows(config.data, rename=config.rename):
        if _SCORES in row.values:
            raise DataError(
                f"{row.where}: field {_SCORES!r} is a column that the samples' scores take; "
                f'--rename \'{{"{_SCORES}": "reference_{_SCORES}"}}\' keeps it by another name'
            )


def inputs_of(config: TrainRso | TrainBestOfN, reference: str = "") -> dict[str, object]:
    """Return fingerprints of a run's inputs; other inputs make another run.

    Raises:
        MissingFileError: A folder of a reference is not there.
    """
    if reference.startswith((".", "/")) and not Path(reference).exists():
        raise MissingFileError(f"dpo.reference {reference}: no such folder")
    probe = config.probe
    scorers = (config.scorer, probe.scorer, probe.gold)
    return {
        "data": fingerprint(config.data),
        "policy": fingerprint(config.policy),
        "reference": fingerprint(reference),
        "probe": fingerprint(probe.data),
        "scorers": [spec_fingerprint(spec) for spec in scorers if spec],
    }


def sample_and_score(config: TrainRso | TrainBestOfN, policy: str, folder: Path, n: int, seed: int) -> None:
    """Sample a policy and score the samples into a folder; finished files are kept.

    Args:
        config: The command's configuration.
        policy: The policy to sample.
        folder: Gets `samples.jsonl` and `scored.jsonl`.
        n: Samples for each prompt.
        seed: Seed of the samples.

    Raises:
        EvalkitError: A prompt cannot be continued or a sample has no score; the message names its place.
    """
    samples, scored = folder / SAMPLES, folder / SCORED
    if samples.exists():
        say(f"{samples}: sampled before")
    else:
        say(f"Sampling {n} responses to each prompt from {policy}")
        source = PromptFile(config.data, config.rename, config.limit)
        sample_file(policy, source, str(samples), n, sampling_config(config.drawing, seed))
    if scored.exists():
        say(f"{scored}: scored before")
    else:
        score_file(config.scorer, str(samples), str(scored))


def publish_policy(source: Path, out: Path, about: Mapping[str, object], best: bool = True) -> None:
    """Make a finished policy's files also those of another folder, `config.json` and `policy.json` last.

    Files are hard links where the file system has them, so that the weights lie on the disk once. Until
    `config.json` is there nothing loads the folder, and a killed call is repeated without harm.

    Args:
        source: The folder that training wrote; it stays as it is.
        out: The folder that gets the policy.
        about: Further entries of `policy.json`.
        best: Publish the source's `best` too, where there is one.
    """
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.glob("[!.]*")):
        if file.is_file() and file.name not in _OF_THE_RUN and not file.name.endswith(_NO_WEIGHTS):
            _place(file, out / file.name)
    if best and (source / BEST / "config.json").exists():
        publish_policy(source / BEST, out / BEST, {})
    _place(source / "config.json", out / "config.json")
    write_json(out / POLICY_FILE, {**read_policy(str(source)), **about})


def _place(file: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(file, partial)
    except OSError:  # no hard links there, or none across file systems
        shutil.copy2(file, partial)
    partial.replace(target)
