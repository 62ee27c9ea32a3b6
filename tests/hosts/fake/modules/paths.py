"""Where the host keeps things; `FAKE_HOST_FOLDER` says where that is."""

import os

data_path = os.environ["FAKE_HOST_FOLDER"]
script_path = data_path
models_path = os.path.join(data_path, "models")
extensions_dir = os.path.join(data_path, "extensions")
