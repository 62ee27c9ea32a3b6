"""A small byte-level BPE in CLIP's file format, trained on our own captions."""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import re
from pathlib import Path

import numpy as np

from tools.demo_model.captions import caption
from tools.demo_model.scenes import sample

WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+")


def byte_symbols():
    """The printable character for each byte, as in CLIP and GPT-2."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    spare = iter(range(256, 512))
    order = keep + [b for b in range(256) if b not in keep]
    return {b: chr(b) if b in keep else chr(next(spare)) for b in order}


def train_bpe(texts, merges):
    """Most frequent pair merges over words; returns the list of merged pairs."""
    symbols = byte_symbols()
    counts = collections.Counter(w for t in texts for w in WORD.findall(t.lower()))
    words = {w: [symbols[b] for b in w.encode()] for w in counts}
    for s in words.values():
        s[-1] += "</w>"
    out = []
    while len(out) < merges:
        pairs = collections.Counter()
        for w, s in words.items():
            for pair in itertools.pairwise(s):
                pairs[pair] += counts[w]
        if not pairs:
            break
        best = max(pairs, key=lambda q: (pairs[q], q))
        out.append(best)
        for parts in words.values():
            merge(parts, best)
    return out


def merge(parts, pair):
    """Join every occurrence of a pair of neighbours in a list of symbols, in place."""
    k = 0
    while k < len(parts) - 1:
        if (parts[k], parts[k + 1]) == pair:
            parts[k : k + 2] = [parts[k] + parts[k + 1]]
        k += 1


START, END = "<|startoftext|>", "<|endoftext|>"
SPECIAL = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
CONFIG = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
# common prompt words outside the captions, so that they too become whole tokens
EXTRA_WORDS = (
    "the of and a in on with for from at by an is are to cat dog woman man girl boy portrait face dragon robot "
    "car space galaxy nebula astronaut flower garden house street temple ruins bridge road train ship cave fire "
    "ice crystal fantasy surreal abstract dark light bright colorful red green blue yellow orange pink white "
    "black warm cold morning evening nsfw nude text watermark logo signature blur"
)


def save_tokenizer(folder, texts, merges=1400):
    """Write vocab.json, merges.txt and the config of a CLIPTokenizer; returns the vocabulary size."""
    pairs, base = train_bpe(texts, merges), list(byte_symbols().values())
    tokens = [*base, *(b + "</w>" for b in base), *("".join(q) for q in pairs), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "vocab.json": json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False),
        "merges.txt": "#version: 0.2\n" + "\n".join(" ".join(q) for q in pairs) + "\n",
        "tokenizer_config.json": json.dumps(SPECIAL | CONFIG, indent=2),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return len(tokens)


def caption_corpus(count, seed=5):
    """Random captions."""
    rng = np.random.default_rng(seed)
    return [caption(rng, sample(rng)[1]) for _ in range(count)]


def main(arguments=None):
    """Train on 30,000 captions and write the tokenizer."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("folder", type=Path)
    p.add_argument("--captions", type=int, default=30000)
    a = p.parse_args(arguments)
    print("vocabulary", save_tokenizer(a.folder, caption_corpus(a.captions) + [EXTRA_WORDS] * 40))


if __name__ == "__main__":
    main()
