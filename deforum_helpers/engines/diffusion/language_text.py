"""Prompts to embeddings by a language model, as the newer families read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from deforum_helpers.engines.diffusion.prompt_syntax import parse_attention
from deforum_helpers.engines.diffusion.residency import input_device, reader_of


def plain_text(text: str) -> str:
    """Return a prompt without its attention syntax; language models take no weights."""
    return "".join(" " if piece.text is None else piece.text for piece in parse_attention(text))


def has_attention(text: str) -> bool:
    """Return whether a prompt weights some of its words."""
    return any(piece.weight != 1 for piece in parse_attention(text))


@dataclass(frozen=True)
class LanguageText:
    """A language model with its tokenizer.

    Args:
        tokenizer, model: of transformers.
        form: the text around the prompt that the network was trained with; "{}" is the prompt.
        length: most tokens; longer texts are cut.
        layers: numbers of the hidden layers whose embeddings are joined, negative from the end.
        padded: side on which texts are padded to `length`, where the network reads the padding too; None = neither.
        dropped: tokens of `form` before the prompt that the network does not read.
        keeps_first: whether the network reads the first token nevertheless.
        marked: whether the tokenizer adds its own marks at the ends of a text.
        lowered: whether prompts are read in small letters.
    """

    tokenizer: Any
    model: Any
    form: str
    length: int
    layers: tuple[int, ...] = (-2,)
    padded: Literal["left", "right"] | None = None
    dropped: int = 0
    keeps_first: bool = False
    marked: bool = True
    lowered: bool = False

    def encode(self, text: str) -> torch.Tensor:
        """Return the token embeddings (1, T, width * layers)."""
        plain = plain_text(text)
        encoded = self.tokenizer(
            self.form.replace("{}", plain.lower().strip() if self.lowered else plain),
            padding="max_length" if self.padded else False,
            padding_side=self.padded,
            max_length=self.length,
            truncation=True,
            add_special_tokens=self.marked,
            return_tensors="pt",
        )
        hidden = reader_of(self.model)(
            input_ids=encoded.input_ids.to(input_device(self.model)),
            attention_mask=encoded.attention_mask.to(input_device(self.model)),
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states
        tokens = torch.cat([hidden[layer] for layer in self.layers], dim=-1)
        read = tokens[:, self.dropped :]
        return torch.cat([tokens[:, :1], read], dim=1) if self.keeps_first else read
