"""Networks whose weights come from a single file: transformers, text encoders and VAEs."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch

from deforum_helpers.core.errors import ModelError
from deforum_helpers.engines import messages
from deforum_helpers.engines.diffusion.families_flow import FLUX2_LAYERS
from deforum_helpers.engines.diffusion.layouts import added_to, naming_of
from deforum_helpers.engines.diffusion.stored_weights import Stored, StoredLinear, read_weights
from deforum_helpers.models.weights.checkpoints import title_of
from deforum_helpers.models.weights.recognition import ModelFile, bare_text_name

# Parts of language models that files may lack, because no prompt needs them: the head, which would predict the next
# word, and what reads images.
_UNNEEDED = ("lm_head", "vision_tower", "multi_modal_projector", "visual")
# Text encoder -> the last hidden layer that a family reads; those after it are not loaded, and files may lack them.
_LAST_READ = {"Mistral3": max(FLUX2_LAYERS)}
_LAYER = re.compile(r"(?:^|\.)layers\.\d+\.self_attn\.q_proj\.weight$|^blk\.\d+\.attn_q\.weight$")
# Buffers that a network makes itself.
_OWN_BUFFERS = ("num_batches_tracked", "position_ids", "inv_freq")


def network_of_file(
    file: ModelFile,
    library: str,
    class_name: str,
    config_folder: Path,
    dtype: torch.dtype,
    config_name: str = "",
) -> torch.nn.Module:
    """Return a network with the weights of a file.

    Args:
        file: of `recognize`.
        library, class_name: its class in diffusers or transformers.
        config_folder: holds its config.json.
        dtype: of its weights; those of linear layers that have 8 bits or fewer keep them.
        config_name: what sentences call the configuration; "" = the name of the folder.

    Raises:
        ModelError: the weights do not fit the configuration, or have a precision that is not supported.
        MissingFeature: a package that reads the file is not installed.
    """
    network = _empty(library, class_name, config_folder)
    if file.component == "text_encoder":
        _shorten(network, file)
    name = config_name or f"{config_folder.parent.name}/{config_folder.name}"
    _Filling(network, file, name, dtype).fill()
    return network.eval()


def _empty(library: str, class_name: str, config_folder: Path) -> Any:
    """Return a network without memory for its weights."""
    import diffusers
    import transformers
    from accelerate import init_empty_weights

    with init_empty_weights(), warnings.catch_warnings():
        # Some networks of diffusers are built from parts that diffusers itself has deprecated.
        warnings.filterwarnings("ignore", ".*is deprecated", FutureWarning)
        if library == "diffusers":
            foundry = getattr(diffusers, class_name)
            return foundry.from_config(foundry.load_config(str(config_folder), local_files_only=True))
        foundry = getattr(transformers, class_name)
        config = foundry.config_class.from_pretrained(str(config_folder), local_files_only=True)
        return foundry(config)


def _shorten(network: Any, file: ModelFile) -> None:
    """Remove the layers after the last one that is read, and the norm that follows them."""
    there = sum(_LAYER.search(name) is not None for name in file.names)
    read = _LAST_READ.get(file.network)
    if read is None or there < read or network.config.get_text_config().num_hidden_layers <= read:
        return
    reader = network.model.language_model
    reader.layers = reader.layers[:read]
    reader.norm = torch.nn.Identity()
    reader.config.num_hidden_layers = read


class _Filling:
    """The weights of one file on their way into one network."""

    def __init__(self, network: Any, file: ModelFile, config: str, dtype: torch.dtype) -> None:
        self._network, self._file, self._config, self._dtype = network, file, config, dtype
        self._wanted: dict[str, torch.Tensor] = network.state_dict()
        is_text = file.component == "text_encoder"
        self._names = {bare_text_name(name) if is_text else name: name for name in self._wanted}
        self._found: dict[str, torch.Tensor] = {}
        self._kept: set[str] = set()

    def fill(self) -> None:
        """Fill the network."""
        naming = naming_of(self._file, self._hidden_size(), self._head_size())
        for name, stored in read_weights(self._file):
            if added := added_to(self._file, name):
                stored = Stored(stored.decoded(torch.float32) - added, "", None, stored.shape)
            for target in naming(name, stored.shape[0] if stored.shape else 1):
                self._take(target.name, stored.taken(target.rows))
        self._project_plainly()
        self._network.load_state_dict(self._found, strict=False, assign=True)
        self._refuse_gaps()

    def _project_plainly(self) -> None:
        """Let OpenAI's CLIP return its plain embedding where its file, as with Stable Diffusion 3, has no projection.

        Its activation function tells it from the larger CLIP, which cannot do without.
        """
        name = "text_projection.weight"
        openai = self._file.network == "CLIP" and self._network.config.hidden_act == "quick_gelu"
        if openai and name in self._wanted and name not in self._found and name not in self._kept:
            self._found[name] = torch.eye(*self._wanted[name].shape, dtype=self._dtype)

    def _hidden_size(self) -> int:
        config = self._network.config
        if self._file.component != "transformer":
            return 0
        if width := getattr(config, "hidden_size", 0):
            return int(width)
        return int(getattr(config, "num_attention_heads", 0)) * int(getattr(config, "attention_head_dim", 0))

    def _head_size(self) -> int:
        """Return the width of a language model's attention heads, 0 for another network."""
        if self._file.component != "text_encoder":
            return 0
        config = self._network.config.get_text_config()
        heads = getattr(config, "num_attention_heads", 1)
        return int(getattr(config, "head_dim", None) or config.hidden_size // heads)

    def _take(self, name: str, stored: Stored) -> None:
        own = self._names.get(name)
        if own is None:
            # Text encoders and VAEs come with heads that some models do not use.
            if self._file.component == "transformer":
                raise self._misfit(messages.TENSOR_UNKNOWN(tensor=name))
            return
        shape = tuple(self._wanted[own].shape)
        if stored.shape != shape and tuple(side for side in stored.shape if side > 1) != tuple(
            side for side in shape if side > 1
        ):
            raise self._misfit(messages.TENSOR_SHAPE(tensor=name, found=stored.shape, expected=shape))
        path, _, end = own.rpartition(".")
        layer = self._network.get_submodule(path)
        if stored.form and end == "weight" and type(layer) is torch.nn.Linear:
            self._network.set_submodule(path, StoredLinear(stored, layer.bias, self._dtype))
            self._kept.add(own)
        else:
            self._found[own] = stored.decoded(self._dtype).reshape(shape)

    def _refuse_gaps(self) -> None:
        if hasattr(self._network, "tie_weights"):
            self._network.tie_weights()
        filled = [*self._found, *self._kept]
        for path, _ in list(self._network.named_modules()):
            if path.endswith(_UNNEEDED) and not any(name.startswith(f"{path}.") for name in filled):
                self._network.set_submodule(path, torch.nn.Identity())
        there = self._network.state_dict()
        missing = [
            name
            for name, tensor in there.items()
            if name not in self._found
            and name not in self._kept
            and not name.endswith(_OWN_BUFFERS)
            and (tensor.is_meta or name in dict(self._network.named_buffers()))
        ]
        if missing:
            raise self._misfit(messages.TENSORS_MISSING(count=len(missing), tensor=missing[0]))

    def _misfit(self, reason: str) -> ModelError:
        file = self._file
        return ModelError(
            messages.COMPONENT_MISFIT(
                file=file.path.name, found=title_of(file), config=self._config, reason=reason
            )
        )
