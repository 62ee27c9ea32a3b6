"""Prompts to CLIP embeddings: blocks of 75 tokens, attention weights, clip skip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from deforum_helpers.engines.diffusion.prompt_syntax import parse_attention
from deforum_helpers.engines.diffusion.residency import input_device

# A block that is full in the middle of a phrase is cut at a comma, if one is among its last tokens.
_COMMA_REACH = 20


@dataclass
class TokenBlock:
    """Tokens between the start and the end mark, with their attention."""

    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def split_off(self, at: int) -> TokenBlock:
        """Cut the block at token `at`; return the tail."""
        tail = TokenBlock(self.ids[at:], self.weights[at:])
        del self.ids[at:], self.weights[at:]
        return tail


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the tokens of `text` without marks, however many there are."""
    return tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids


def token_blocks(tokenizer: Any, text: str, size: int) -> list[TokenBlock]:
    """Return the blocks of a prompt, at least one, each of at most `size` tokens.

    Args:
        tokenizer: a CLIP tokenizer.
        text: prompt with attention syntax and BREAK.
        size: tokens of a block, 75 for CLIP.
    """
    commas = token_ids(tokenizer, ",")
    comma = commas[0] if commas else None
    blocks = [TokenBlock()]
    for piece in parse_attention(text):
        if piece.text is None:
            blocks.append(TokenBlock())
            continue
        for token in token_ids(tokenizer, piece.text):
            if len(blocks[-1].ids) == size and token != comma:
                blocks.append(_overflow(blocks[-1], comma))
            elif len(blocks[-1].ids) == size:
                blocks.append(TokenBlock())
            blocks[-1].ids.append(token)
            blocks[-1].weights.append(piece.weight)
    return blocks


def _overflow(block: TokenBlock, comma: int | None) -> TokenBlock:
    """Cut a full block after its last comma, if that is near; return what the next one begins with."""
    reach = len(block.ids) - _COMMA_REACH
    places = [i for i, token in enumerate(block.ids) if token == comma and i >= reach]
    return block.split_off(places[-1] + 1) if places else TokenBlock()


def weighted(hidden: torch.Tensor, weights: Sequence[Sequence[float]]) -> torch.Tensor:
    """Scale each token's embedding by its attention and keep the mean of the whole, as WebUI hosts do.

    Args:
        hidden: (blocks, tokens, width).
        weights: one number per token.
    """
    factors = torch.tensor(weights, dtype=hidden.dtype, device=hidden.device)
    if bool((factors == 1).all()):
        return hidden
    scaled = hidden * factors.unsqueeze(-1)
    before, after = hidden.float().mean(), scaled.float().mean()
    # Embeddings that are normed to no mean have nothing to keep but rounding errors.
    if min(abs(before), abs(after)) < 1e-5 * hidden.float().abs().mean():
        return scaled
    return scaled * (before / after).to(hidden.dtype)


@dataclass(frozen=True)
class ClipText:
    """A CLIP tokenizer with its text model.

    Args:
        tokenizer, model: of transformers.
        least_skip: 1 where the last layer is the model's own choice, 2 where the last but one is (XL, SD3).
        normed: whether the chosen layer goes through the final layer norm.
    """

    tokenizer: Any
    model: Any
    least_skip: int = 1
    normed: bool = True

    def encode(self, text: str, clip_skip: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return (token embeddings (1, 77 * blocks, width), pooled embedding of the first block or None)."""
        size = int(self.model.config.max_position_embeddings) - 2
        blocks = token_blocks(self.tokenizer, text, size)
        ids = torch.tensor([self._marked(block, size) for block in blocks], device=input_device(self.model))
        output = self.model(ids, output_hidden_states=True)
        layers = output.hidden_states
        hidden = layers[-min(max(clip_skip, self.least_skip), len(layers) - 1)]
        if self.normed:
            hidden = getattr(self.model, "text_model", self.model).final_layer_norm(hidden)
        padding = [[1.0, *block.weights, *[1.0] * (size + 1 - len(block.weights))] for block in blocks]
        tokens = weighted(hidden, padding)
        pooled = output.get("text_embeds", output.get("pooler_output"))
        return tokens.reshape(1, -1, tokens.shape[-1]), None if pooled is None else pooled[:1]

    def _marked(self, block: TokenBlock, size: int) -> list[int]:
        """Start mark, tokens, end mark, padding."""
        end = self.tokenizer.eos_token_id
        pad = self.tokenizer.pad_token_id
        padding = [end if pad is None else pad] * (size - len(block.ids))
        return [self.tokenizer.bos_token_id, *block.ids, end, *padding]


@dataclass(frozen=True)
class T5Text:
    """A T5 tokenizer with its encoder.

    Args:
        tokenizer, model: of transformers.
        length: tokens that the network was trained with; shorter prompts are padded, longer ones cut.
        shown_padding: most tokens of padding that the network reads, after a text of which T5 itself reads none;
            None = both read it all.
        lowered: whether prompts are read in small letters.
    """

    tokenizer: Any
    model: Any
    length: int
    shown_padding: int | None = None
    lowered: bool = False

    def encode(self, text: str) -> torch.Tensor:
        """Return the token embeddings (1, T, width), T = length unless some padding is left out."""
        ids: list[int] = []
        weights: list[float] = []
        for piece in parse_attention(text):
            if piece.text is not None:
                tokens = token_ids(self.tokenizer, piece.text.lower() if self.lowered else piece.text)
                ids += tokens
                weights += [piece.weight] * len(tokens)
        ids, weights = ids[: self.length - 1], weights[: self.length - 1]
        missing = self.length - 1 - len(ids)
        seen = None
        if self.shown_padding is not None:
            missing = min(missing, self.shown_padding)
            seen = torch.tensor([[1] * (len(ids) + 1) + [0] * missing], device=input_device(self.model))
        padded = [*ids, self.tokenizer.eos_token_id, *[self.tokenizer.pad_token_id] * missing]
        shown = torch.tensor([padded], device=input_device(self.model))
        hidden = self.model(shown, attention_mask=seen).last_hidden_state
        return weighted(hidden, [[*weights, 1.0, *[1.0] * missing]])
