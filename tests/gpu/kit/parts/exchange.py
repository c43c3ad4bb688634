"""Memory of the device shared with PyTorch through DLPack, both ways, without a copy."""

from __future__ import annotations

from tests.gpu.kit.case import Case
from tests.gpu.kit.finding import Tell, judged, not_run
from tests.gpu.kit.settings import Settings

DTYPES = ("float32", "float16", "bfloat16", "int32", "int64")


def cases(settings: Settings) -> list[Case]:
    return [Case("DLPack", _both_ways, 40.0)]


def _both_ways(settings: Settings, tell: Tell) -> None:
    try:
        import torch
    except ImportError as error:
        tell(not_run("DLPack", str(error)))
        return
    import ggml

    device = ggml.device(settings.device)
    place = str(device)
    for name in DTYPES:
        there = torch.arange(12, device=place).reshape(3, 4).to(getattr(torch, name))
        here = ggml.from_dlpack(there)
        tell(judged(f"{name}: from torch", here.data_ptr() == there.data_ptr(), "another address"))
        tell(judged(f"{name}: same numbers", here.cpu().float().tolist() == there.cpu().float().tolist()))
        back = torch.from_dlpack(here)
        tell(judged(f"{name}: back to torch", back.data_ptr() == there.data_ptr(), "another address"))
    made = ggml.arange(6.0).to(device) * 2
    shared = torch.from_dlpack(made)
    tell(judged("made here", shared.data_ptr() == made.data_ptr() and str(shared.device) == place))
    tell(judged("made here: same numbers", shared.cpu().tolist() == [0, 2, 4, 6, 8, 10]))
    shared += 1  # what torch writes shows from the next use on
    if not settings.is_cpu:
        torch.cuda.synchronize()
    tell(judged("written by torch", (made + 0).cpu().tolist() == [1, 3, 5, 7, 9, 11]))
