"""The local policy: any causal language model of Transformers, in this process."""

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evalkit.policies.checkpoint import load_causal
from evalkit.policies.generation.cache import cache_argument, can_pad
from evalkit.policies.generation.decoding import Ending, Sample, decode, prefill
from evalkit.policies.generation.randomness import sample_keys
from evalkit.policies.generation.texts import StopTexts, TextCodec
from evalkit.policies.policy import DEFAULT_SAMPLING, SamplingConfig
from rewards.errors import ConfigError, DataError, SpecError
from rewards.records import Generation, Prompt, prompt_key
from rewards.specs import Spec

MEMORY = 2**29
"""Bytes of keys, values and next-token distributions that a batch of automatic size may take."""
MOST_ROWS = 2048
"""Rows beyond which a larger batch is no faster."""
DTYPES = ("auto", "float32", "float16", "bfloat16")


class LocalPolicy:
    """Samples from a causal language model.

    A prompt is prefilled once for all its samples. Results do not depend on the batch size, the order of the
    prompts or n, but for the rounding of the logits: a random number within about 1e-7 of the boundary
    between two tokens, or two logits that equal, can fall to the other side in another batch.

    Args:
        model: A model with a language modelling head; it is put into evaluation mode and stays on its device.
        tokenizer: Its tokenizer.
        name: Its name in error messages.

    Raises:
        ModelError: The model takes no KV cache.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str = "model"
    ) -> None:
        self.model = model.eval()  # type: ignore[no-untyped-call]  # untyped in Transformers
        cache_argument(model)
        self.tokenizer = tokenizer
        self.name = name
        self.texts = TextCodec(tokenizer, name, end_tokens(model, tokenizer))
        config = model.config.get_text_config()
        self._context: int | None = getattr(config, "max_position_embeddings", None)

    def check(self, prompts: Sequence[Prompt], names: Sequence[str]) -> None:
        """Refuse prompts that cannot be continued.

        Args:
            prompts: The prompts of a later `generate`.
            names: Name of each prompt in error messages, such as `prompts.jsonl:3`.

        Raises:
            DataError: A prompt is empty, or leaves no room in the model's context.
            ModelError: A prompt has messages, and the tokenizer has no chat template.
        """
        for prompt, name in zip(prompts, names, strict=True):
            self.encode(prompt, name)

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        settings: SamplingConfig = DEFAULT_SAMPLING,
        occurrences: Sequence[int] | None = None,
    ) -> list[list[Generation]]:
        """Return exactly `n` generations for each prompt, in the order asked: see `Policy.generate`.

        Raises:
            ConfigError: n is below 1.
            DataError: A prompt is empty, or leaves no room in the model's context; nothing is sampled then.
            ModelError: A prompt has messages, and the tokenizer has no chat template.
        """
        if n < 1:
            raise ConfigError(f"n is 1 or more, got {n}")
        encoded = [self.encode(prompt, _numbered(i, prompt)) for i, prompt in enumerate(prompts)]
        if occurrences is None:
            occurrences = _occurrences(prompts)
        keys = [
            sample_keys(settings.seed, prompt, occurrence, n)
            for prompt, occurrence in zip(prompts, occurrences, strict=True)
        ]
        stops = StopTexts(self.texts, settings.stop)
        ending = Ending(self.texts.end_tokens, stops.found if settings.stop else None)
        results: list[list[Generation]] = [[] for _ in prompts]
        for group in self._groups(encoded, n, settings):
            prefilled = prefill(self.model, [encoded[i] for i in group])
            samples = [
                Sample(place, key, self._limit(encoded[i], settings))
                for place, i in enumerate(group)
                for key in keys[i]
            ]
            rows = self._rows(max(len(encoded[i]) for i in group), settings)
            for start in range(0, len(samples), rows):
                decode(self.model, prefilled, samples[start : start + rows], ending, settings)
            texts = self.texts.responses(
                [encoded[group[sample.place]] for sample in samples], [sample.tokens for sample in samples]
            )
            for sample, text in zip(samples, texts, strict=True):
                i = group[sample.place]
                results[i].append(_generation(prompts[i], stops.cut(text), sample, settings))
        return results

    def encode(self, prompt: Prompt, name: str) -> list[int]:
        """Return a prompt's tokens, which leave room for a response.

        Args:
            prompt: The prompt.
            name: Its name in error messages.

        Raises:
            DataError: It cannot be continued.
        """
        try:
            tokens = self.texts.encode(prompt)
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        if self._context is not None and len(tokens) >= self._context:
            raise DataError(
                f"{name}: the prompt has {len(tokens)} tokens and the context of {self.name} holds "
                f"{self._context}, which leaves no room for a response; shorten or drop it"
            )
        return tokens

    def _limit(self, prompt: Sequence[int], settings: SamplingConfig) -> int:
        if self._context is None:
            return settings.max_new_tokens
        return min(settings.max_new_tokens, self._context - len(prompt))

    def _rows(self, prompt_length: int, settings: SamplingConfig) -> int:
        """Return how many samples are decoded at once."""
        if settings.batch_size:
            return settings.batch_size
        config = self.model.config.get_text_config()
        heads = getattr(config, "num_attention_heads", 1)
        shared = (getattr(config, "num_key_value_heads", None) or heads) / heads
        width = 2 * config.num_hidden_layers * config.hidden_size * shared * self.model.dtype.itemsize
        distribution = 3 * 8 * config.vocab_size  # weights, their sums and a temporary, in float64
        row = (prompt_length + settings.max_new_tokens) * width + distribution
        return max(1, min(MOST_ROWS, int(MEMORY / row)))

    def _groups(
        self, encoded: Sequence[Sequence[int]], n: int, settings: SamplingConfig
    ) -> Iterator[list[int]]:
        """Yield which prompts are read and continued together: a batch of samples, of like lengths."""
        order = sorted(range(len(encoded)), key=lambda i: (len(encoded[i]), i))
        padding = can_pad(self.model.config)
        group: list[int] = []
        for i in order:
            full = group and (len(group) + 1) * n > self._rows(len(encoded[i]), settings)
            uneven = group and not padding and len(encoded[i]) != len(encoded[group[0]])
            if full or uneven:
                yield group
                group = []
            group.append(i)
        if group:
            yield group


def load_local_policy(spec: Spec) -> LocalPolicy:
    """Load `FOLDER_OR_HUB_ID?dtype=auto|float32|float16|bfloat16&device=cpu|cuda`.

    The default is the weights' own dtype, and the first accelerator where there is one.

    Raises:
        SpecError: An option is unknown or not one of its values.
        MissingFileError: The name is a path, and there is no such folder.
        ModelError: There is no such model, it is no causal language model with a tokenizer, or some of its
            weights, such as the language modelling head, are not in the checkpoint.
    """
    spec.allow("dtype", "device")
    dtype = spec.options.get("dtype", "auto")
    if dtype not in DTYPES:
        raise SpecError(f"{spec.text}: option dtype is one of {', '.join(DTYPES)}, got {dtype!r}")
    try:
        device = torch.device(spec.options.get("device", "cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise SpecError(f"{spec.text}: option device is one of torch's, such as cpu or cuda:0") from None
    model, tokenizer = load_causal(spec.rest, spec.text, dtype)
    torch.nn.Module.to(model, device)
    return LocalPolicy(model, tokenizer, spec.rest)


def _generation(prompt: Prompt, response: str, sample: Sample, settings: SamplingConfig) -> Generation:
    extra: dict[str, object] = {"finish_reason": sample.finish_reason, "token_count": len(sample.tokens)}
    if settings.log_probs:
        extra |= {"tokens": sample.tokens, "log_probs": sample.log_probs}
    return Generation(prompt, response, extra=extra)


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the EOS tokens: those of the generation configuration, else the tokenizer's."""
    generation = model.generation_config
    tokens = None if generation is None else generation.eos_token_id
    if tokens is None:
        tokens = tokenizer.eos_token_id
    if tokens is None:
        return frozenset()
    return frozenset([tokens] if isinstance(tokens, int) else tokens)


def _occurrences(prompts: Sequence[Prompt]) -> list[int]:
    """Return how often each prompt occurred earlier in the list."""
    seen: Counter[str] = Counter()
    counts = []
    for prompt in prompts:
        key = prompt_key(prompt)
        counts.append(seen[key])
        seen[key] += 1
    return counts


def _numbered(index: int, prompt: Prompt) -> str:
    text = prompt_key(prompt)
    return f"prompt {index + 1} ({text[:40]!r}{'...' if len(text) > 40 else ''})"
