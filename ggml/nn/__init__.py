"""Layers, and the functions that they are made of."""

from __future__ import annotations

from ggml.nn import functional
from ggml.nn.containers import ModuleDict, ModuleList, Sequential
from ggml.nn.module import Module
from ggml.nn.parameter import Buffer, Parameter
from ggml.nn.parameter_containers import ParameterDict, ParameterList

__all__ = [
    "Buffer",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "Sequential",
    "functional",
]
