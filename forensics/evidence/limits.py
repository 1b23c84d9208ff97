"""Bounds on what is followed in evidence; passing one is a fault that names it, never a silent end."""

PATH_DEPTH = 256  # directories within directories: deeper ones are loops or attacks
LINK_TARGET = 4096  # bytes of a symbolic link's target: PATH_MAX of Linux
LAYERS = 128  # volumes of one image: a GPT states at most 128
CONTAINER_DEPTH = 8  # files within files
