"""Loads and saves policies as Transformers folders with `policy.json` beside the weights."""

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from evalkit.runs.files import atomic_write, json_text
from rewards.errors import ModelError, OutputExistsError
from rewards.models.hub import loading_options, quiet

POLICY_FILE = "policy.json"
"""What a trained policy's folder says of itself: how it was trained, from what, against which reference."""


def load_causal(name: str, text: str, dtype: str = "float32") -> tuple[PreTrainedModel, Any]:
    """Load a causal language model and its tokenizer, on the CPU.

    Args:
        name: Folder or Hub id.
        text: Its name in error messages.
        dtype: Dtype of the weights; `auto` keeps the checkpoint's.

    Raises:
        MissingFileError: The name is a path, and there is no such folder.
        ModelError: There is no such model, it is no causal language model with a tokenizer, or some of its
            weights, such as the language modelling head, are not in the checkpoint.
    """
    if Path(name).is_dir() and not (Path(name) / "config.json").exists():
        raise ModelError(f"{text}: the folder has no config.json, so it is no model's folder")
    options = loading_options(name)
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(name, **options)
            # Its annotation leaves out the pair that `output_loading_info` gives.
            answer: Any = AutoModelForCausalLM.from_pretrained(
                name, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True, **options
            )
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"{text}: no causal language model with a tokenizer loads from this folder or Hub id: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    model, loaded = answer
    # Of a head that is tied to the embeddings the file holds nothing, and Transformers misses nothing.
    fresh = sorted({*map(str, loaded["missing_keys"]), *(str(key[0]) for key in loaded["mismatched_keys"])})
    if fresh:
        raise ModelError(
            f"{text}: is no trained language model: {', '.join(fresh[:5])} would be random, so that its "
            "samples would mean nothing; a reward model's folder is a scorer, not a policy"
        )
    return cast(PreTrainedModel, model), tokenizer


def save_policy(
    model: torch.nn.Module,
    tokenizer: Any,  # noqa: ANN401  # no public base type for both backends
    folder: Path,
    about: Mapping[str, object],
) -> None:
    """Write a policy's folder, adapters merged, `policy.json` last; the model itself is not changed.

    Args:
        model: A causal language model, with LoRA adapters or without.
        tokenizer: Its tokenizer.
        folder: Where it goes; files of the same names are replaced.
        about: Contents of `policy.json`.
    """
    (folder / POLICY_FILE).unlink(missing_ok=True)
    inner = merged(model)
    inner.config.architectures = [type(inner).__name__]
    with quiet():
        inner.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    with atomic_write(folder / POLICY_FILE) as file:
        file.write(json_text(dict(about)))


def refuse_finished(folder: Path, checkpoints: Path) -> None:
    """Refuse to train into the folder of a finished run, which has a policy and no checkpoints.

    Raises:
        OutputExistsError: It is one.
    """
    if (folder / POLICY_FILE).exists() and not any(checkpoints.glob("*")):
        raise OutputExistsError(f"{folder}: holds a trained policy; name another folder")


def replace_policy(
    model: torch.nn.Module,
    tokenizer: Any,  # noqa: ANN401  # as above
    folder: Path,
    about: Mapping[str, object],
) -> None:
    """Replace a policy's folder; the old one stays intact until the new one is complete."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    save_policy(model, tokenizer, partial, about)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    partial.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def read_policy(name: str) -> Mapping[str, Any]:
    """Return the contents of a folder's `policy.json`; empty for other tools' folders and Hub ids.

    Raises:
        ModelError: The file is not what we write.
    """
    path = Path(name) / POLICY_FILE
    if not path.is_file():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ModelError(f"{path}: is not JSON; it tells how the policy was trained") from None
    if not isinstance(about, dict):
        raise ModelError(f"{path}: is not a description of a policy")
    return about


def merged(model: torch.nn.Module) -> PreTrainedModel:
    """Return a copy of a model with the adapters merged into its weights, so that training can go on."""
    if getattr(model, "merge_and_unload", None) is None:
        return cast(PreTrainedModel, model)
    adapted: Any = copy.deepcopy(model)
    return cast(PreTrainedModel, adapted.merge_and_unload())
