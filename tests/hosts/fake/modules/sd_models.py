"""Checkpoints: chosen by an option, loaded by the next image."""

import importlib.util
import threading
from types import SimpleNamespace

from modules import shared

FORGE = importlib.util.find_spec("modules_forge") is not None

checkpoints_list = {}
checkpoint_aliases = {}
loads = []


class CheckpointInfo:
    def __init__(self, name, shorthash):
        self.name = name
        self.name_for_extra = self.model_name = name.rsplit(".", 1)[0]
        self.title = f"{name} [{shorthash}]"
        self.filename = f"/models/{name}"
        self.ids = [name, self.title, self.name_for_extra, shorthash]

    def __repr__(self):
        return f"<{self.name}>"


def list_models():
    checkpoints_list.clear()
    checkpoint_aliases.clear()
    for info in (
        CheckpointInfo("first.safetensors", "1111111111"),
        CheckpointInfo("second.safetensors", "2222222222"),
    ):
        checkpoints_list[info.title] = info
        for alias in info.ids:
            checkpoint_aliases[alias] = info


def get_closet_checkpoint_match(text):
    if not text:
        return None
    found = checkpoint_aliases.get(text)
    return found or next((info for info in checkpoints_list.values() if text in info.title), None)


def select_checkpoint():
    found = checkpoint_aliases.get(shared.opts.sd_model_checkpoint)
    if found is None and not checkpoints_list:
        raise FileNotFoundError("No checkpoints found.")
    return found or next(iter(checkpoints_list.values()))


if FORGE:
    model_data = SimpleNamespace(forge_loading_parameters={}, forge_hash="")

    def forge_model_reload():
        wanted = str(model_data.forge_loading_parameters)
        if wanted == model_data.forge_hash:
            return
        info = model_data.forge_loading_parameters["checkpoint_info"]
        loads.append((info.name, tuple(model_data.forge_loading_parameters["additional_modules"])))
        shared.sd_model = SimpleNamespace(sd_checkpoint_info=info)
        model_data.forge_hash = wanted

else:
    model_data = SimpleNamespace(lock=threading.Lock())

    def reload_model_weights():
        """As hosts do, write what is loaded into everybody's options."""
        info = select_checkpoint()
        if shared.sd_model is None or shared.sd_model.sd_checkpoint_info is not info:
            loads.append((info.name, ()))
            shared.sd_model = SimpleNamespace(sd_checkpoint_info=info)
            shared.opts.data["sd_model_checkpoint"] = info.title
            shared.opts.data["sd_checkpoint_hash"] = info.ids[-1]

    def send_model_to_cpu(_model):
        loads.append("to cpu")

    def send_model_to_device(_model):
        loads.append("to device")


list_models()
