"""Load and save reward models as Transformers folders, with `evalkit.json` beside; hash weights."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from rewards.errors import MissingExtraError, MissingFileError, ModelError
from rewards.models.head import HeadedModel
from rewards.models.hub import first_line, load_tokenizer, loading_options, nothing_there, quiet
from rewards.models.sidecar import BY_TOKEN, SIDECAR, Kind, Sidecar, write_sidecar

HEADS = ("score", "classifier", "classification_head", "summary")
"""Names of a classifier's last layers in Transformers."""


def load_classifier(
    name: str, dtype: torch.dtype = torch.float32, revision: str = "main", sidecar: Sidecar | None = None
) -> PreTrainedModel:
    """Load a trained reward model: a folder, a Hub id, or a folder of LoRA adapters, then merged.

    Args:
        name: The folder or Hub id.
        dtype: Number format of the body.
        revision: Revision on the Hub.
        sidecar: The folder's `evalkit.json`; None loads an outcome model.

    Raises:
        ModelError: There is no model by that name, its head was not in the checkpoint, or it has not as many
            labels as its kind.
    """
    sidecar = sidecar or Sidecar()
    folder = Path(name)
    labels = {"outcome": 1, "process": 2}.get(sidecar.kind, len(sidecar.aspects))
    if (folder / "adapter_config.json").exists():
        return _load_adapter(folder, dtype, sidecar.kind, labels)
    model, fresh = _from_pretrained(name, dtype, revision, sidecar.kind)
    if fresh:  # asked first, as a body without a head counts two labels
        command = {"aspects": "aspects", "spans": "aspects"}.get(sidecar.kind, sidecar.kind)
        raise ModelError(
            f"{name}: holds no trained head ({', '.join(fresh)} would be random), so that its scores would "
            f"mean nothing; train one with: evalkit train {command} --body.name {name}"
        )
    if model.config.num_labels != labels:
        what = {"outcome": "an outcome reward model has one", "process": "a process reward model has two"}
        raise ModelError(
            f"{name}: has {model.config.num_labels} labels; "
            + what.get(sidecar.kind, f"{SIDECAR} names {labels} aspects")
        )
    heads = list(cast("dict[int, str]", model.config.id2label).values())
    names = [facts.name for facts in sidecar.aspects]
    if names and heads != names:
        raise ModelError(
            f"{name}: its heads are {', '.join(heads)} by config.json and {', '.join(names)} by {SIDECAR}"
        )
    return model


def foreign_sidecar(name: str, revision: str = "main") -> Sidecar:
    """Return the sidecar of a folder or Hub id without `evalkit.json`: a token classifier scores steps.

    Raises:
        ModelError: There is no model by that name.
    """
    if (Path(name) / "adapter_config.json").exists():  # which say no architecture
        return Sidecar(append_eos=False)
    try:
        with quiet():
            config = AutoConfig.from_pretrained(name, revision=revision, **loading_options(name))
    except (OSError, ValueError, KeyError) as error:
        raise nothing_there(name, "reward model", error) from None
    architectures = config.architectures or ()
    if any(architecture.endswith("ForTokenClassification") for architecture in architectures):
        return Sidecar(kind="process", append_eos=False, read_at="step separator")
    return Sidecar(append_eos=False)


def start_classifier(
    name: str, revision: str = "main", kind: Kind = "outcome", labels: Sequence[str] = ()
) -> PreTrainedModel:
    """Load a body to train on, in float32, with a fresh head where it has none of this kind and size.

    Args:
        name: The folder or Hub id.
        revision: Revision on the Hub.
        kind: Kind of reward model to train.
        labels: Names of the head's outputs; none given means one output.

    Raises:
        ModelError: There is no model by that name, or weights other than the head's are missing.
    """
    options = {**label_settings(labels), "ignore_mismatched_sizes": True}
    model, fresh = _from_pretrained(name, torch.float32, revision, kind, **options)
    strangers = [key for key in fresh if not any(part in HEADS for part in key.split("."))]
    if strangers:
        raise ModelError(f"{name}: these weights are missing from the checkpoint: {', '.join(strangers[:5])}")
    return model


def label_settings(labels: Sequence[str]) -> dict[str, Any]:
    """Return how a Transformers configuration names a head's outputs; none given means one output."""
    if not labels:
        return {"num_labels": 1}
    names = dict(enumerate(labels))
    return {"num_labels": len(labels), "id2label": names, "label2id": {name: n for n, name in names.items()}}


def auto_class(kind: Kind) -> Any:  # noqa: ANN401  # Transformers' factories share no public type
    """Return the Transformers factory of a kind of reward model."""
    return AutoModelForTokenClassification if kind in BY_TOKEN else AutoModelForSequenceClassification


def _from_pretrained(
    name: str,
    dtype: torch.dtype,
    revision: str,
    kind: Kind,
    **options: Any,  # noqa: ANN401  # passed on to Transformers
) -> tuple[PreTrainedModel, list[str]]:
    options |= loading_options(name)
    try:
        with quiet():  # Transformers reports a fresh head at length; it is told apart below
            model, information = auto_class(kind).from_pretrained(
                name, dtype=dtype, revision=revision, output_loading_info=True, **options
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise nothing_there(name, "reward model", error) from None
    mismatched = [str(key[0]) for key in information["mismatched_keys"]]
    return cast(PreTrainedModel, model), sorted({*map(str, information["missing_keys"]), *mismatched})


def _load_adapter(folder: Path, dtype: torch.dtype, kind: Kind, labels: int) -> PreTrainedModel:
    try:
        from peft import PeftConfig, PeftModel
    except ImportError:
        raise MissingExtraError("peft", "peft") from None
    weights = folder / "adapter_model.safetensors"
    try:
        with safe_open(weights, framework="pt") as file:
            keys = list(file.keys())
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{weights}: no adapters there ({first_line(error)})") from None
    if not any(part in HEADS for key in keys for part in key.split(".")):
        raise ModelError(
            f"{folder}: the adapters were saved without their head (modules_to_save), so that its scores "
            "would mean nothing"
        )
    base = PeftConfig.from_pretrained(str(folder)).base_model_name_or_path
    try:
        model, _ = _from_pretrained(
            base, dtype, "main", kind, num_labels=labels, ignore_mismatched_sizes=True
        )
    except MissingFileError as error:
        raise ModelError(f"{folder}: adapters of a base that is not there: {error}") from None
    _follow_tokenizer(model, load_tokenizer(str(folder)))
    with quiet():
        return cast(PreTrainedModel, PeftModel.from_pretrained(model, str(folder)).merge_and_unload())


def _follow_tokenizer(model: PreTrainedModel, tokenizer: Any) -> None:  # noqa: ANN401  # as above
    """Give a base the padding token that its adapters were trained with; it decides where scores are read."""
    embeddings: Any = model.get_input_embeddings()
    if embeddings.num_embeddings < len(tokenizer):
        with quiet():
            model.resize_token_embeddings(len(tokenizer))
    if tokenizer.pad_token_id is not None:
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
        model.config.pad_token_id = tokenizer.pad_token_id


def save(model: HeadedModel, tokenizer: Any, folder: Path, sidecar: Sidecar) -> None:  # noqa: ANN401  # as above
    """Write a folder that Transformers' own Auto class loads, adapters merged, with its sidecar."""
    merge = cast("Callable[[], PreTrainedModel] | None", getattr(model.classifier, "merge_and_unload", None))
    inner = merge() if merge else model.classifier
    inner.config.architectures = [type(inner).__name__]
    with quiet():
        inner.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_sidecar(folder, sidecar)


def weights_hash(model: torch.nn.Module) -> str:
    """Return a hash of a model's weights, their names and dtypes; it identifies what training starts from."""
    digest = hashlib.sha256()
    seen: set[int] = set()
    for name, weights in sorted(model.state_dict().items()):
        if weights.data_ptr() in seen:  # tied weights, which a folder may hold once or twice
            continue
        seen.add(weights.data_ptr())
        digest.update(f"{name} {tuple(weights.shape)} {weights.dtype}\n".encode())
        digest.update(weights.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
