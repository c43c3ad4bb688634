"""Layers, and the functions that they are made of."""

from __future__ import annotations

from ggml.files import load as load_gguf
from ggml.nn import attention, functional, init
from ggml.nn.activations import (
    SELU,
    Hardsigmoid,
    Hardswish,
    LogSigmoid,
    LogSoftmax,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softmax2d,
    Softmin,
    Softsign,
    Tanh,
    Tanhshrink,
)
from ggml.nn.batch_norms import BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from ggml.nn.cells import GRUCell, LSTMCell, RNNCell
from ggml.nn.containers import ModuleDict, ModuleList, Sequential
from ggml.nn.dropout import AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout
from ggml.nn.embedding import Embedding
from ggml.nn.feed_forward import FeedForward
from ggml.nn.flatten import Flatten, Unflatten
from ggml.nn.kv_cache import KVCache
from ggml.nn.linear import Bilinear, Identity, Linear
from ggml.nn.module import Module
from ggml.nn.multihead import MultiheadAttention
from ggml.nn.normalization import GroupNorm, LayerNorm, LocalResponseNorm, RMSNorm
from ggml.nn.parameter import Buffer, Parameter
from ggml.nn.parameter_containers import ParameterDict, ParameterList
from ggml.nn.recurrent import GRU, LSTM, RNN
from ggml.nn.rotary import RotaryEmbedding
from ggml.nn.shaped_activations import (
    CELU,
    ELU,
    GELU,
    GLU,
    Hardshrink,
    Hardtanh,
    LeakyReLU,
    PReLU,
    RReLU,
    Softplus,
    Softshrink,
    Threshold,
)
from ggml.nn.transformer import (
    Transformer,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AlphaDropout",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Bilinear",
    "Buffer",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "Embedding",
    "FeatureAlphaDropout",
    "FeedForward",
    "Flatten",
    "GRUCell",
    "GroupNorm",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "KVCache",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "PReLU",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "RMSNorm",
    "RNNCell",
    "RReLU",
    "ReLU",
    "ReLU6",
    "RotaryEmbedding",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Unflatten",
    "attention",
    "functional",
    "init",
    "load_gguf",
]
