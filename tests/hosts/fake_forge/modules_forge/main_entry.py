"""Forge's choice of models: options become loading parameters."""

from modules import sd_models, shared

module_list = {
    "soft.safetensors": "/fake/models/VAE/soft.safetensors",
    "clip.safetensors": "/text/clip.safetensors",
}
refreshed = []


def refresh_model_loading_parameters():
    refreshed.append(shared.opts.sd_model_checkpoint)
    sd_models.model_data.forge_loading_parameters = {
        "checkpoint_info": sd_models.select_checkpoint(),
        "additional_modules": shared.opts.forge_additional_modules,
        "unet_storage_dtype": None,
    }


def checkpoint_change(name, save=True, refresh=True):
    chosen = sd_models.get_closet_checkpoint_match(shared.opts.data.get("sd_model_checkpoint", ""))
    if sd_models.get_closet_checkpoint_match(name) is chosen:
        return False
    shared.opts.set("sd_model_checkpoint", name)
    if refresh:
        refresh_model_loading_parameters()
    return True
