"""Reward models as Transformers folders, both ways, with `evalkit.json` beside the weights."""

import hashlib
import json
import re
import ssl
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from logging import ERROR
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import constants
from huggingface_hub.utils import logging as hub_logging
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from rewards.errors import MissingExtraError, MissingFileError, ModelError
from rewards.models.outcome import RewardModel

SIDECAR = "evalkit.json"
HEADS = ("score", "classifier", "classification_head", "summary")
"""How Transformers calls the last layers of a sequence classifier."""
PROBE = "The quick brown fox, 1234.5 times:\n\n  naïve Ωmega — 漢字 🙂 </s> <s> [SEP] <|endoftext|>"
"""What a tokenizer must still cut as it did at training."""

HUB_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")
REACH_SECONDS = 3.0


@dataclass(frozen=True)
class Scale:
    """`Score.value` is `(logit - mean) / sd`."""

    mean: float = 0.0
    sd: float = 1.0


@dataclass(frozen=True)
class Sidecar:
    """What a folder of ours says of itself beside its weights."""

    kind: str = "outcome"
    append_eos: bool = True
    read_at: str = "last token"
    tokenizer_hash: str = ""
    scale: Scale = field(default_factory=Scale)
    trained_on: Mapping[str, object] = field(default_factory=dict)
    version: int = 1


def tokenizer_hash(tokenizer: Any) -> str:  # noqa: ANN401  # Transformers has no public base type for both backends
    """Return a hash of how a tokenizer cuts a probe, of its special tokens and of its chat template."""
    facts = [
        tokenizer(PROBE)["input_ids"],
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
        tokenizer.chat_template,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def check_model_name(name: str) -> None:
    """Refuse a name that is no folder and can be none on the Hub, before anything is asked over the network.

    Raises:
        MissingFileError: There is no such folder.
    """
    if not name or (not Path(name).is_dir() and not HUB_ID.fullmatch(name)):
        raise MissingFileError(f"{name or repr(name)}: no such folder")


def loading_options(name: str) -> dict[str, bool]:
    """Return the options with which Transformers loads a name: only what is here, if the Hub is out of reach.

    Transformers asks for each of a dozen files and waits between its tries, a minute in all.

    Raises:
        MissingFileError: As `check_model_name`.
    """
    check_model_name(name)
    return {"local_files_only": not Path(name).is_dir() and not _hub_answers()}


@cache
def _hub_answers() -> bool:
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        asked = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        urllib.request.urlopen(asked, timeout=REACH_SECONDS).close()
    except urllib.error.HTTPError:
        return True  # an answer, if not the one hoped for
    except OSError as error:
        # Transformers brings its own certificates, so that it may get through where this did not.
        return isinstance(getattr(error, "reason", error), ssl.SSLError)
    return True


def _nothing_there(name: str, kind: str, error: BaseException) -> ModelError:
    if Path(name).is_dir():
        return ModelError(f"{name}: no {kind} there ({_first_line(error)})")
    if not _hub_answers():
        return ModelError(
            f"{name}: no such folder, and no {kind} kept from the Hub, which is out of reach or switched off"
        )
    return ModelError(f"{name}: no such folder, and no {kind} on the Hub ({_first_line(error)})")


def load_tokenizer(name: str, revision: str = "main") -> Any:  # noqa: ANN401  # as above
    """Load a tokenizer.

    Raises:
        MissingFileError: The name is neither a folder nor a Hub id.
        ModelError: There is none by that name.
    """
    options = loading_options(name)
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(name, revision=revision, **options)
    except (OSError, ValueError, KeyError) as error:
        raise _nothing_there(name, "tokenizer", error) from None


def load_classifier(name: str, dtype: torch.dtype = torch.float32, revision: str = "main") -> PreTrainedModel:
    """Load a trained outcome reward model: a folder, a Hub id, or a folder of LoRA adapters, then merged.

    Raises:
        ModelError: There is no model by that name, its head was not in the checkpoint, or it has several
            labels.
    """
    folder = Path(name)
    if (folder / "adapter_config.json").exists():
        return _load_adapter(folder, dtype)
    model, fresh = _from_pretrained(name, dtype, revision)
    if fresh:  # asked first, as a body without a head counts two labels
        raise ModelError(
            f"{name}: holds no trained head ({', '.join(fresh)} would be random), so that its scores would "
            "mean nothing; train one with: evalkit train outcome --body.name " + name
        )
    if model.config.num_labels != 1:
        raise ModelError(f"{name}: has {model.config.num_labels} labels; an outcome reward model has one")
    return model


def start_classifier(name: str, revision: str = "main") -> PreTrainedModel:
    """Load a body to train on, in float32, with a fresh head where it has none.

    Raises:
        ModelError: There is no model by that name, or weights other than the head's are missing.
    """
    model, fresh = _from_pretrained(name, torch.float32, revision, num_labels=1, ignore_mismatched_sizes=True)
    strangers = [key for key in fresh if not any(part in HEADS for part in key.split("."))]
    if strangers:
        raise ModelError(f"{name}: these weights are missing from the checkpoint: {', '.join(strangers[:5])}")
    return model


def _from_pretrained(
    name: str,
    dtype: torch.dtype,
    revision: str,
    **options: Any,  # noqa: ANN401  # passed on to Transformers
) -> tuple[PreTrainedModel, list[str]]:
    options |= loading_options(name)
    try:
        with quiet():  # Transformers reports a fresh head at length; it is told apart below
            model, information = AutoModelForSequenceClassification.from_pretrained(
                name, dtype=dtype, revision=revision, output_loading_info=True, **options
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise _nothing_there(name, "reward model", error) from None
    mismatched = [str(key[0]) for key in information["mismatched_keys"]]
    return cast(PreTrainedModel, model), sorted({*map(str, information["missing_keys"]), *mismatched})


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Transformers and the Hub from reporting and drawing while they load or train."""
    verbosity, drawn = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_verbosity = hub_logging.get_verbosity()
    logging.set_verbosity(ERROR)
    hub_logging.set_verbosity(ERROR)
    _draw(False)
    try:
        with warnings.catch_warnings():
            # peft asks each model for this old name; nobody who uses a command can do anything about it.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        _draw(drawn)


def _draw(on: bool) -> None:
    switch: Callable[[], None] = logging.enable_progress_bar if on else logging.disable_progress_bar
    switch()


def _load_adapter(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    try:
        from peft import PeftConfig, PeftModel
    except ImportError:
        raise MissingExtraError("peft", "peft") from None
    weights = folder / "adapter_model.safetensors"
    try:
        with safe_open(weights, framework="pt") as file:
            keys = list(file.keys())
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{weights}: no adapters there ({_first_line(error)})") from None
    if not any(part in HEADS for key in keys for part in key.split(".")):
        raise ModelError(
            f"{folder}: the adapters were saved without their head (modules_to_save), so that its scores "
            "would mean nothing"
        )
    base = PeftConfig.from_pretrained(str(folder)).base_model_name_or_path
    try:
        model, _ = _from_pretrained(base, dtype, "main", num_labels=1)
    except MissingFileError as error:
        raise ModelError(f"{folder}: adapters of a base that is not there: {error}") from None
    _follow_tokenizer(model, load_tokenizer(str(folder)))
    with quiet():
        return cast(PreTrainedModel, PeftModel.from_pretrained(model, str(folder)).merge_and_unload())


def _follow_tokenizer(model: PreTrainedModel, tokenizer: Any) -> None:  # noqa: ANN401  # as above
    """Give a base the padding token that its adapters were trained with; it decides where scores are read."""
    embeddings: Any = model.get_input_embeddings()
    if embeddings.num_embeddings < len(tokenizer):
        model.resize_token_embeddings(len(tokenizer))
    if tokenizer.pad_token_id is not None:
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
        model.config.pad_token_id = tokenizer.pad_token_id


def read_sidecar(name: str) -> Sidecar | None:
    """Return what a folder of ours says of itself; None for a foreign folder or a Hub id without it.

    Raises:
        ModelError: The file is not what we write.
    """
    path = Path(name) / SIDECAR
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Sidecar(**{**values, "scale": Scale(**values["scale"])})
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path}: not a description of a reward model ({_first_line(error)})") from None


def save(model: RewardModel, tokenizer: Any, folder: Path, sidecar: Sidecar) -> None:  # noqa: ANN401  # as above
    """Write a folder that `AutoModelForSequenceClassification` loads, adapters merged, with its sidecar."""
    merge = cast("Callable[[], PreTrainedModel] | None", getattr(model.classifier, "merge_and_unload", None))
    inner = merge() if merge else model.classifier
    inner.config.architectures = [type(inner).__name__]
    with quiet():
        inner.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_sidecar(folder, sidecar)


def write_sidecar(folder: Path, sidecar: Sidecar) -> None:
    """Write `evalkit.json`, which marks the folder as complete and is therefore written last."""
    temporary = folder / f".{SIDECAR}.partial"
    temporary.write_text(json.dumps(asdict(sidecar), indent=2) + "\n", encoding="utf-8")
    temporary.replace(folder / SIDECAR)


def check_tokenizer(name: str, tokenizer: Any, sidecar: Sidecar) -> None:  # noqa: ANN401  # as above
    """Refuse a tokenizer that no longer cuts text as at training.

    Raises:
        ModelError: It does not.
    """
    if sidecar.tokenizer_hash and sidecar.tokenizer_hash != tokenizer_hash(tokenizer):
        raise ModelError(
            f"{name}: its tokenizer (or chat template) is not the one it was trained with: {SIDECAR} records "
            f"{sidecar.tokenizer_hash}, this one is {tokenizer_hash(tokenizer)}"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
