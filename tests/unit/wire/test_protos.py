"""The committed stubs are what the .proto files give."""

from __future__ import annotations

from pathlib import Path

import pytest

from protos import generate, inference_pb2, membership_pb2, stage_pb2, weights_pb2


def test_committed_stubs_are_current(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed here")
    generate.generate(tmp_path)
    written = {path.name for path in (tmp_path / "protos").iterdir()}
    assert written == set(generate.OUTPUTS)
    for name in generate.OUTPUTS:
        committed = (generate.ROOT / "protos" / name).read_bytes()
        assert (tmp_path / "protos" / name).read_bytes() == committed, f"run python -m protos.generate: {name}"


def test_services_are_those_of_the_package() -> None:
    stage = stage_pb2.DESCRIPTOR.services_by_name["Stage"]
    inference = inference_pb2.DESCRIPTOR.services_by_name["Inference"]
    assert stage.full_name == "ggml_cluster.v1.Stage"
    wanted = ["Steps", "Watch", "Tokens", "Describe", "Hold", "Wire", "Compile"]
    assert [method.name for method in stage.methods] == wanted
    weights = weights_pb2.DESCRIPTOR.services_by_name["Weights"]
    assert [method.name for method in weights.methods] == ["DescribeModel", "ReadTensor"]
    services = membership_pb2.DESCRIPTOR.services_by_name
    assert {name: [method.name for method in service.methods] for name, service in services.items()} == {
        "Door": ["Join"],
        "Members": ["Register", "Confirm", "Renew", "Leave", "Nodes"],
        "Attendant": ["Ping", "End"],
    }
    assert inference.full_name == "ggml_cluster.v1.Inference"
    assert {method.name for method in inference.methods} == {
        "Generate",
        "Cancel",
        "Complete",
        "Embed",
        "Logits",
        "Run",
        "Tokenize",
        "Detokenize",
        "Model",
        "Vocabulary",
        "Status",
        "Slots",
        "Adapters",
        "Intervals",
    }
