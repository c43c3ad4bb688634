"""A program in slices beside the same program whole."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import ggml
from ggml.programs.binding import as_input, bind
from ggml.programs.decoding import decode
from ggml.programs.encoding import encode
from ggml.programs.slices.part import output_names, part
from ggml.programs.slices.places import cut_places
from ggml.programs.slices.running import Slice
from ggml.programs.trees import flatten


def assert_sliced_equals(program: ggml.export.Program, arguments: tuple[Any, ...], num_slices: int) -> None:
    """Bit for bit, where there are places for so many slices. Each goes through its bytes, as a file has them."""
    graph, places = program.graph, cut_places(program.graph)
    num_units = len(places) + 1
    if num_units < num_slices:
        return
    leaves = flatten(graph.in_tree, (arguments, {}), "arguments")
    users = [as_input(leaf, one) for leaf, one in zip(leaves, graph.users, strict=True)]
    program.reset()
    wanted = dict(zip(output_names(graph.out_tree), program.run(users), strict=True))
    program.reset()
    symbols = bind(graph, graph.users, users)
    going = {one.name: user for one, user in zip(graph.users, users, strict=True) if one.spec is not None}
    tensors = {**program.weights, **program.state.all()}
    bounds = [number * num_units // num_slices for number in range(num_slices + 1)]
    for first, end in pairwise(bounds):
        own = decode(encode(part(graph, places, first, end)), "slice")
        going = Slice(own, tensors)(going, symbols)
    assert going.keys() == wanted.keys()
    for name, one in wanted.items():
        if isinstance(one, ggml.Tensor):
            assert np.array_equal(going[name].numpy(), one.numpy(), equal_nan=True), f"{name} in {num_slices} slices"
        else:
            assert going[name].item() == one
