"""A model in torch, in a process of its own: it writes the program of it, and then answers how long its own calls take.

python -m ggml.benchmark.torch_side ResNet-50 8 2 model.ggp
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

import torch

import ggml
from ggml.benchmark import models
from ggml.benchmark.shapes import LLAMAS, LlamaShape, example

_MAKE = {"ResNet-50": models.resnet50, "ViT-B/16": models.ViT, "BERT-base": models.BERT}


def _lowered(model: Any, arguments: Any, shapes: Any, quantization: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about torch
        exported = torch.export.export(model, arguments, dynamic_shapes=shapes)
        return ggml.export.lower(exported, require="ggml", quantization=quantization)


def write_llama(shape: LlamaShape, path: str) -> None:
    """Write the program of a Llama with random weights, at 8 bits, for one token to as many as its cache holds."""
    model = models.Llama(shape).eval()
    count = torch.export.Dim("count", min=1, max=shape.capacity)
    arguments = (torch.ones(1, 7, dtype=torch.int64), torch.arange(7))
    _lowered(model, arguments, ({1: count}, {0: count}), ggml.q8_0).save(path)


def main() -> None:
    """Write the program, say so, and answer each line with the seconds of one call."""
    name, batch, num_threads, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.manual_seed(0)
    torch.set_num_threads(num_threads)
    with torch.no_grad():
        if name in LLAMAS:
            write_llama(LLAMAS[name], path)
            return
        model = _MAKE[name]().eval()
        x = torch.from_numpy(example(name, batch))
        _lowered(model, (x,), None, None).save(path)
        model(x)
        print("ready", flush=True)
        for _ in sys.stdin:
            begin_s = time.perf_counter()
            model(x)
            print(time.perf_counter() - begin_s, flush=True)


if __name__ == "__main__":
    main()
