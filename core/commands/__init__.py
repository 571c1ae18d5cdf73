"""The commands behind `patchbay`: one module per group; `core.cli` lists them."""
