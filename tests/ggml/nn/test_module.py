"""Module, Parameter, containers: one source text in PyTorch and in ggml, and what ggml adds."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import numpy as np
import torch

import ggml
from ggml import nn
from tests.ggml.both import names_of

NET = """
class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, 3))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.kept = nn.Buffer(torch.ones(1))
        self.register_parameter("nothing", None)
        self.register_buffer("no_buffer", None)

    def forward(self, x):
        return x * self.scale

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.late = None
        self.first = Inner()
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3), nn.ReLU(), Inner()])
        self.heads = nn.ModuleDict({"a": nn.Linear(3, 2, bias=False), "b": nn.Identity()})
        self.body = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Tanh(), nn.Linear(4, 3)))
        self.tied = self.first
        self.free = nn.ParameterList([torch.zeros(2), nn.Parameter(torch.ones(1)), 5])
        self.named = nn.ParameterDict({"left": torch.zeros(2), "right": nn.Parameter(torch.ones(1))})
        self.no_module = None

    def forward(self, x):
        return self.body(self.first(x))

net = Net()
"""


def _both(text: str) -> tuple[Any, Any]:
    """The name ``net`` (and everything else) of a text in both libraries."""
    found = []
    for library in (torch, ggml):
        names = names_of(library) | {"OrderedDict": OrderedDict}
        exec(text, names)
        found.append(names)
    return found[0], found[1]


@pytest.fixture(scope="module")
def nets() -> tuple[Any, Any]:
    theirs, ours = _both(NET)
    return theirs["net"], ours["net"]


@pytest.mark.parametrize(
    "text",
    [
        "list(net.state_dict())",
        "list(net.state_dict(prefix='x.'))",
        "[name for name, _ in net.named_parameters()]",
        "[name for name, _ in net.named_parameters('p')]",
        "[name for name, _ in net.named_parameters(recurse=False)]",
        "[name for name, _ in net.named_parameters(remove_duplicate=False)]",
        "[name for name, _ in net.named_buffers()]",
        "[name for name, _ in net.named_buffers('p', recurse=True, remove_duplicate=False)]",
        "[name for name, _ in net.named_modules()]",
        "[name for name, _ in net.named_modules(prefix='p', remove_duplicate=False)]",
        "[name for name, _ in net.named_children()]",
        "[type(one).__name__ for one in net.modules()]",
        "[type(one).__name__ for one in net.children()]",
        "[tuple(one.shape) for one in net.parameters()]",
        "[tuple(one.shape) for one in net.buffers()]",
        "tuple(net.get_parameter('layers.1.weight').shape)",
        "tuple(net.get_buffer('first.kept').shape)",
        "type(net.get_submodule('body.1.0')).__name__",
        "net.get_submodule('') is net",
        "'heads' in dir(net), 'free' in dir(net)",
        "len(net.body), len(net.layers), len(net.heads), len(net.free), len(net.named)",
        "net.tied is net.first",
    ],
)
def test_names_and_order(nets: tuple[Any, Any], text: str) -> None:
    theirs, ours = nets
    assert eval(text, {"net": ours}) == eval(text, {"net": theirs})


def test_text(nets: tuple[Any, Any]) -> None:
    theirs, ours = nets
    text = repr(theirs).replace("torch.FloatTensor", "torch.float32")  # PyTorch has two ways of naming a dtype
    assert repr(ours) == text.replace("torch.float", "ggml.float")


EXCHANGES = [
    "x = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)); r = [list(x.state_dict()), repr(x[1:])]",
    "x = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh())); r = [repr(x), repr(x[0]), repr(x.b)]",
    "x = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.GELU()); del x[1]; r = repr(x)",
    "x = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.GELU()); x[-1] = nn.ELU(); r = repr(x)",
    "x = nn.Sequential(nn.ReLU()); x.append(nn.Tanh()); x.extend([nn.GELU()]); x.insert(1, nn.ELU()); r = repr(x)",
    "x = nn.Sequential(nn.ReLU()) + nn.Sequential(nn.Tanh()); r = repr(x)",
    "x = nn.Sequential(nn.ReLU(), nn.Tanh()); y = x.pop(0); r = [repr(x), repr(y)]",
    "x = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()]); r = repr(x)",
    "x = nn.ModuleList(); r = repr(x)",
    "x = nn.ModuleList([nn.ReLU(), nn.Tanh()]); x.insert(1, nn.ELU()); x += [nn.GELU()]; r = repr(x)",
    "x = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.ELU()]); del x[::2]; r = [repr(x), repr(x[0:1])]",
    "x = nn.ModuleList([nn.ReLU()]) + nn.ModuleList([nn.Tanh()]); r = [repr(x), x[0] is not x[1], len(x)]",
    "x = nn.ModuleList([nn.Linear(1, 1)]); x[0] = nn.Linear(2, 2); r = [tuple(p.shape) for p in x.parameters()]",
    "x = nn.ModuleDict([('a', nn.ReLU())]); x['b'] = nn.Tanh(); x.update({'c': nn.ELU()}); r = [repr(x), list(x)]",
    "x = nn.ModuleDict({'a': nn.ReLU(), 'b': nn.Tanh()}); y = x.pop('a'); r = [repr(x), repr(y), 'a' in x]",
    "x = nn.ModuleDict({'a': nn.ReLU()}); x.clear(); r = [len(x), list(x.items()), list(x.values())]",
    "x = nn.ParameterList([torch.ones(2)]); x.append(torch.zeros(3)); x += [torch.ones(1)]; r = list(x.state_dict())",
    "x = nn.ParameterList([torch.ones(2), torch.ones(3)]); x[0] = torch.ones(5); r = [tuple(p.shape) for p in x]",
    "x = nn.ParameterList([torch.ones(2), torch.ones(3), 7]); r = [tuple(p.shape) for p in x[0:2]] + [x[-1]]",
    "x = nn.ParameterDict({'a': torch.ones(2)}); x['b'] = torch.ones(3); r = [list(x), len(x), list(x.state_dict())]",
    "x = nn.ParameterDict({'a': torch.ones(2)}); y = x.pop('a'); r = [len(x), 'a' in x, tuple(y.shape), x.get('q', 3)]",
    "x = nn.Linear(2, 2); x.bias = None; r = list(x.state_dict())",
    "x = nn.Linear(2, 2); del x.bias; r = list(x.state_dict())",
    "x = nn.Linear(2, 3); x.bias = nn.Parameter(torch.ones(1)); r = x(torch.zeros(1, 2)).tolist()",
    "x = nn.Module(); x.a = nn.Linear(1, 1); x.a = nn.Parameter(torch.ones(1)); r = list(x.state_dict())",
    "x = nn.Module(); x.a = 3; x.a = nn.Parameter(torch.ones(1)); r = list(x.state_dict())",
    "x = nn.Linear(2, 2).requires_grad_(False); r = [p.requires_grad for p in x.parameters()]",
    "x = nn.Parameter(torch.ones(1)); r = [x.requires_grad, isinstance(x, torch.Tensor), type(x + 1) is torch.Tensor]",
    "x = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout())); x[1].eval(); r = [m.training for m in x.modules()]",
    "x = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU())).eval().train(); r = [m.training for m in x.modules()]",
    "r = []; nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())).apply(lambda m: r.append(type(m).__name__))",
    "x = nn.Linear(2, 2).half(); r = str(x.weight.dtype).split('.')[1]",
    "x = nn.BatchNorm1d(2).to(torch.bfloat16); r = [str(v.dtype).split('.')[1] for v in x.state_dict().values()]",
    "x = nn.BatchNorm1d(2).half().float(); r = [str(v.dtype).split('.')[1] for v in x.state_dict().values()]",
    "x = nn.Linear(2, 2, dtype=torch.float16, device='cpu'); r = str(x.weight.dtype).split('.')[1]",
]


@pytest.mark.parametrize("text", EXCHANGES)
def test_the_same_text_in_both(text: str) -> None:
    theirs, ours = _both(text)
    assert ours["r"] == theirs["r"]


REFUSED = [
    "x = nn.Module(); x.register_parameter('a.b', None)",
    "x = nn.Module(); x.register_parameter('', None)",
    "x = nn.Module(); x.register_buffer('training', None)",
    "x = nn.Module(); x.register_buffer(3, None)",
    "x = nn.Module(); x.register_buffer('a', 3)",
    "x = nn.Module(); x.register_parameter('a', torch.ones(1))",
    "x = nn.Module(); x.add_module('a', 3)",
    "x = nn.Module(); x.add_module('forward', nn.ReLU())",
    "x = nn.Linear(2, 2); x.weight = torch.ones(2, 2)",
    "x = nn.BatchNorm1d(2); x.running_mean = 5",
    "x = nn.Sequential(nn.ReLU()); x[0] = 5",
    "x = nn.Sequential(nn.ReLU())[1]",
    "x = nn.Sequential(3)",
    "x = nn.ModuleList([nn.ReLU()])[-2]",
    "x = nn.ModuleList(3)",
    "x = nn.ModuleDict({'a': 3})",
    "x = nn.ModuleDict()['a']",
    "x = nn.ModuleDict(3)",
    "x = nn.ParameterList([])[0]",
    "x = nn.ParameterList(3)",
    "x = nn.ParameterDict({})['a']",
    "x = nn.Parameter(torch.ones(2, dtype=torch.int64))",
    "x = nn.Linear(2, 2).to(torch.int64)",
    "x = nn.Linear(2, 2).to('nowhere')",
    "x = nn.Linear(2, 2).train(3)",
    "x = nn.Linear(2, 2).nothing",
    "x = nn.Linear(2, 2).get_parameter('nothing')",
    "x = nn.Linear(2, 2).get_submodule('a.b')",
    "x = nn.Module()(3)",
    "x = nn.Linear(2, 2); x.load_state_dict(3)",
    "x = nn.Linear(2, 2); del x.nothing",
    """
class Net(nn.Module):
    def __init__(self):
        self.weight = nn.Parameter(torch.ones(1))
net = Net()""",
    """
class Net(nn.Module):
    def __init__(self):
        self.inner = nn.ReLU()
net = Net()""",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_torch_refuses_is_refused(text: str) -> None:
    with pytest.raises(
        (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError)
    ):
        exec(text, names_of(torch))
    # Of AttributeError Python has its own where nothing of ours is asked.
    with pytest.raises((ggml.GgmlError, AttributeError)):
        exec(text, names_of(ggml))


HOOKS = """
log = []
net = nn.Sequential(nn.Identity(), nn.Identity())
net.register_forward_pre_hook(lambda module, args: log.append("pre"))
first = net[0].register_forward_pre_hook(lambda module, args: (args[0] + 1,))
net[0].register_forward_pre_hook(lambda module, args: args[0] * 10)
net[1].register_forward_hook(lambda module, args, output: output + args[0])
second = net[1].register_forward_hook(lambda module, args, output: log.append(output.tolist()), prepend=True)
net.register_forward_hook(lambda module, args, kwargs, output: log.append(len(kwargs)), with_kwargs=True)
log.append(net(torch.ones(2)).tolist())
first.remove()
first.remove()
log.append(net(torch.ones(2)).tolist())
with second:
    pass
log.append(net(torch.ones(2)).tolist())

class Twice(nn.Module):
    def forward(self, x, by=2):
        return x * by

twice = Twice()
twice.register_forward_pre_hook(lambda module, args, kwargs: (args, {"by": 5}), with_kwargs=True)
log.append(twice(torch.ones(1), by=3).tolist())

class Broken(nn.Module):
    def forward(self, x):
        raise ValueError("broken")

broken = Broken()
broken.register_forward_hook(lambda module, args, output: log.append("never"))
broken.register_forward_hook(lambda module, args, output: log.append("always"), always_call=True)
try:
    broken(torch.ones(1))
except ValueError as error:
    log.append(str(error))
"""


def test_hooks() -> None:
    theirs, ours = _both(HOOKS)
    assert ours["log"] == theirs["log"]
    with pytest.raises(ggml.DTypeError):
        nn.Identity().register_forward_hook(3)  # type: ignore[arg-type]
    layer = nn.Identity()
    layer.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(ggml.DTypeError):
        layer(ggml.ones(1))


def test_moving_keeps_what_is_tied() -> None:
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, layer, nn.Linear(3, 3, bias=False))
    net[2].weight = layer.weight
    net.half()
    assert net[2].weight is layer.weight and layer.weight.dtype is ggml.float16
    assert len(list(net.parameters())) == 2
    again = copy.deepcopy(net)
    assert again[0] is again[1] and again[2].weight is again[0].weight
    assert again[0].weight is not layer.weight
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in net.named_parameters()]


def test_pickle() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).requires_grad_(False)
    net[0].extra = nn.Buffer(ggml.ones(1), persistent=False)
    again = pickle.loads(pickle.dumps(net))
    assert repr(again) == repr(net)
    assert isinstance(again[0].weight, nn.Parameter) and not again[0].weight.requires_grad
    for name, value in net.state_dict().items():
        assert again.state_dict()[name].tolist() == value.tolist()
    assert isinstance(again[0].extra, nn.Buffer) and not again[0].extra.persistent


def test_parameter_text_and_data() -> None:
    param = nn.Parameter(ggml.tensor([1.0, 2.0]))
    assert repr(param) == f"Parameter containing:\n{ggml.tensor([1.0, 2.0])!r}"
    param.data.mul_(2)
    assert param.tolist() == [2, 4]
    param.data = ggml.zeros(3)
    assert param.tolist() == [0, 0, 0]
    assert tuple(nn.Parameter().shape) == (0,)
    with pytest.raises(ggml.DTypeError):
        nn.Parameter(3)  # type: ignore[arg-type]
    param.requires_grad = False
    assert not param.requires_grad and param.requires_grad_().requires_grad


# Compiled modules


def test_compiled_modules_follow_their_module() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)).eval()
    run = ggml.compile(net)
    x = ggml.randn(2, 3)

    def agrees() -> None:
        np.testing.assert_allclose(run(x).numpy(), net(x).numpy(), rtol=1e-6)

    agrees()
    assert run.num_recordings == 1
    with ggml.no_grad():
        net[0].weight.mul_(2)
    agrees()
    net.load_state_dict({name: np.ones(tuple(one.shape), np.float32) for name, one in net.state_dict().items()})
    agrees()
    net[2] = nn.Linear(4, 3)
    agrees()
    net[0].bias = None
    agrees()
    handle = net.register_forward_hook(lambda module, args, output: output + 1)
    agrees()
    handle.remove()
    agrees()
    net.half()
    x = x.half()
    agrees()
    net.train()
    with pytest.raises(ggml.TracingError):
        run(x)
    net.eval()
    agrees()


def test_compiled_modules_read_parameters_in_place() -> None:
    layer = nn.Linear(64, 64)
    run = ggml.compile(layer)
    run(ggml.randn(2, 64))
    (found,) = run._recordings.values()
    assert layer.weight.buffer() in found.leaves and layer.bias.buffer() in found.leaves


def test_what_a_compiled_function_computed_from_a_parameter_follows_it() -> None:
    weight = ggml.ones(2, 2)
    run = ggml.compile(lambda x: x @ (weight * 2))
    assert run(ggml.ones(1, 2)).tolist() == [[4, 4]]
    weight.mul_(3)
    assert run(ggml.ones(1, 2)).tolist() == [[12, 12]]


def test_a_module_keeps_nothing_of_a_recording() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("total", ggml.zeros(2))

        def forward(self, x: ggml.Tensor) -> ggml.Tensor:
            self.total = self.total + x
            return self.total

    net = Counts()
    with pytest.raises(ggml.TracingError):
        ggml.compile(net)(ggml.ones(2))
    assert net(ggml.ones(2)).tolist() == [1, 1]
    linear = nn.Linear(2, 2)
    with pytest.raises(ggml.TracingError):
        ggml.compile(lambda x: linear.weight.add_(x))(ggml.ones(2, 2))
    assert linear.weight.numpy().shape == (2, 2)
    layer = nn.BatchNorm1d(2)
    with pytest.raises(ggml.TracingError):
        ggml.compile(layer)(ggml.ones(3, 2))
    assert layer.num_batches_tracked is not None and layer.num_batches_tracked.item() == 0
    assert ggml.compile(layer.eval())(ggml.ones(3, 2)).shape == (3, 2)


@pytest.mark.skipif(len(ggml.devices()) > 1, reason="there is another device to move to")
def test_moving_to_a_device_that_is_not_here() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(ggml.ArgumentError):
        layer.cuda()
    with pytest.raises(ggml.ArgumentError):
        layer.cuda(1)
    assert layer.cpu() is layer and layer.weight.device == ggml.device("cpu")
