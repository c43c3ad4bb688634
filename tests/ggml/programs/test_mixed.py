"""Models that ggml cannot run whole: what it lacks stays torch's, and only that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from torch import nn  # noqa: E402

import ggml  # noqa: E402
from ggml.export import MixedProgram  # noqa: E402
from tests.ggml.programs.test_lower import BATCH, close, export  # noqa: E402


def lowered(model: Any, *arguments: Any, **options: Any) -> Any:
    program = ggml.export.lower(export(model, *arguments, **options))
    assert isinstance(program, MixedProgram)
    return program


def on_torch(program: Any) -> set[str]:
    return {row.op for row in program.coverage().rows if row.on == "torch"}


class Airy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.after(torch.special.airy_ai(self.before(x)) * x.shape[0])


def test_only_what_is_missing_runs_in_torch() -> None:
    model = Airy()
    program = lowered(model, torch.randn(2, 6), shapes=({0: BATCH},))
    assert on_torch(program) == {"aten.special_airy_ai.default"}
    assert program.coverage().count("ggml") == 3
    for batch in (2, 5, 1, 5):
        x = torch.randn(batch, 6)
        close(program(x), model(x))
        close(program(x.numpy()), model(x))
    assert program.num_recordings == 6  # two parts at three shapes
    assert "2 parts on ggml, 1 operations in torch" in repr(program)


def test_what_is_whole_is_no_mixed_program() -> None:
    assert isinstance(ggml.export.lower(export(nn.Linear(2, 2), torch.ones(1, 2))), ggml.export.Program)


def test_there_is_no_file_of_it(tmp_path: Path) -> None:
    program = lowered(Airy(), torch.randn(2, 6))
    with pytest.raises(
        ggml.UnsupportedOpError, match=r"aten\.special_airy_ai\.default \(1\).*\n.*a file needs no torch"
    ):
        program.save(tmp_path / "model.ggp")
    assert not list(tmp_path.iterdir())


def test_shapes_that_the_data_decide() -> None:
    class Positive(nn.Module):
        def forward(self, x: Any) -> Any:
            found = torch.nonzero(x.relu() > 0.5)
            count = (x > 0).sum().item()
            return found.sum(), x * 2 + count, torch.fft.fft(x).abs().log1p()

    program = lowered(Positive(), torch.randn(9))
    assert {"aten.nonzero.default", "aten._local_scalar_dense.default"} <= on_torch(program)
    assert not {"aten.relu.default", "aten.gt.Scalar", "aten.log1p.default"} & on_torch(program)
    for _ in range(3):
        x = torch.randn(9)
        for found, wanted in zip(program(x), Positive()(x), strict=True):
            close(found, wanted)


def test_extents_that_only_numbers_tell() -> None:
    class Places(nn.Module):
        def forward(self, x: Any) -> Any:
            far = torch.arange(2 * x.shape[0] + 1)
            return torch.special.airy_ai(x), torch.special.airy_ai(far / 4) * far.shape[0]

    program = lowered(Places(), torch.randn(3), shapes=({0: BATCH},))
    assert on_torch(program) == {"aten.special_airy_ai.default"}
    for batch in (3, 7):
        x = torch.randn(batch)
        for found, wanted in zip(program(x), Places()(x), strict=True):
            close(found, wanted)


def test_branches_that_the_data_decide() -> None:
    class Branches(nn.Module):
        def forward(self, x: Any) -> Any:
            decision = x.sum(0, keepdim=True) > 0  # with an axis, so that no ``where`` can choose by it
            return torch.cond(decision, lambda y: y.sin(), lambda y: y.cos(), (x.relu() + x,)) * 3

    program = ggml.export.lower(export(Branches(), torch.ones(3)))
    for x in (torch.ones(3), -torch.ones(3)):
        close(program(x), Branches()(x))
    assert program.coverage().count("ggml") >= 4


def test_parts_of_a_result_stay_with_it() -> None:
    class Modes(nn.Module):
        def forward(self, x: Any) -> Any:
            values, places = torch.mode(x.abs())  # which ggml lacks
            halves = x.chunk(2)
            return values + halves[0].sum(), places, halves[1] * 2

    program = lowered(Modes(), torch.tensor([1.0, 2.0, 2.0, 1.0]))
    x = torch.tensor([3.0, 1.0, 3.0, 5.0])
    for found, wanted in zip(program(x), Modes()(x), strict=True):
        close(found, wanted)


def test_buffers_that_calls_change() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("total", torch.zeros(3))

        def forward(self, x: Any) -> Any:
            self.total.add_(x)
            return torch.special.airy_ai(self.total), self.total * 2

    program = lowered(Counter(), torch.ones(3))
    assert [program(torch.ones(3))[1].tolist() for _ in range(2)] == [[2.0] * 3, [4.0] * 3]
    assert program.state["total"].tolist() == [2.0] * 3
    program.reset()
    assert program(torch.ones(3))[1].tolist() == [2.0] * 3


def test_dtypes_that_ggml_lacks_are_torchs_between_parts() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("small", torch.arange(-3, 3, dtype=torch.int8))

        def forward(self, x: Any) -> Any:
            return torch.special.airy_ai(x.double()).exp() + self.small, torch.bucketize(self.small * 2, x.sort()[0])

    program = lowered(Wide(), torch.randn(6))
    x = torch.randn(6)
    floats, places = program(x)
    close(floats, Wide()(x)[0].float())
    assert places.tolist() == Wide()(x)[1].tolist()


def test_weights_with_fewer_bits() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(32, 64), nn.Linear(64, 32)

        def forward(self, x: Any) -> Any:
            return self.second(torch.special.airy_ai(self.first(x))) + self.second.weight.sum()

    model, x = Wide(), torch.randn(4, 32)
    exported = export(model, x)
    program = ggml.export.lower(exported, quantization=ggml.q8_0)
    assert program.weights["first.weight"].dtype is ggml.q8_0
    assert program.weights["second.weight"].dtype is ggml.float32  # another operation reads it, too
    np.testing.assert_allclose(program(x).numpy(), model(x).detach().numpy(), atol=0.05)


def test_arguments_are_checked_as_those_of_programs() -> None:
    program = lowered(Airy(), torch.randn(2, 6), shapes=({0: BATCH},))
    with pytest.raises(ggml.ShapeMismatchError, match=r"input\.shape\[0\]|x\.shape\[0\] within"):
        program(torch.randn(65, 6))
    with pytest.raises(ggml.DTypeError, match=r"x of ggml\.float32"):
        program(torch.ones(2, 6, dtype=torch.int64))
