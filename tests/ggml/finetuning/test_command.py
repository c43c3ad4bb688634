"""``python -m ggml finetune``: what it writes and says, how it goes on, and what it refuses in one line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import ggml
from ggml.__main__ import main
from ggml.finetuning import Run, Settings, Texts
from ggml.finetuning.progress import Progress, curve
from ggml.finetuning.texts import IGNORED
from ggml.finetuning.training import Done
from tests.fakes.tiny_models import TinyModel, write_tiny

TEXTS = [f"w{number} w{number + 1} w{number + 2}" for number in range(6)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "model.gguf", TinyModel(num_layers=1, width=64, feed_forward=64))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return path


def _run(model: Path, data: Path, output: Path, *more: object) -> int:
    plain = ("--sequence-length", 32, "--batch-size", 2, "--lora-rank", 2, "--threads", 1, "--learning-rate", 0.01)
    given = ("finetune", model, "--data", data, "-o", output, *plain, *more)
    return main([str(one) for one in given])


def test_what_it_writes_and_says(model: Path, data: Path, tmp_path: Path, capsys: Any) -> None:
    output = tmp_path / "adapter.gguf"
    assert _run(model, data, output, "--epochs", 2) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("step 1/6  loss ") and said[0].endswith(" left") and "tokens/s" in said[0]
    assert said[1].startswith("step 6/6  loss ")
    assert said[2].split() == ["steps", "loss"] and said[3].split()[0] == "1-1" and "#" in said[3]
    assert said[-1] == f"{output} is written; losses are in {output}.jsonl"
    lines = [json.loads(line) for line in Path(f"{output}.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "adapter.gguf", "adapter.gguf.jsonl", "model.gguf", "texts.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_run_that_goes_on_is_the_same_to_the_bit(dropout: float, model: Path, data: Path, tmp_path: Path) -> None:
    settings = Settings(2, dropout=dropout, steps=7, batch_size=2, sequence_length=32, learning_rate=0.01, seed=3)
    whole, first = Run(str(model), str(data), settings), Run(str(model), str(data), settings)
    losses = [whole.step().loss for _ in range(7)]
    half = [first.step().loss for _ in range(4)]
    first.save_checkpoint(str(tmp_path / "checkpoint"))
    second = Run(str(model), str(data), settings)
    ggml.manual_seed(99)  # what others draw between must not matter
    second.resume(str(tmp_path / "checkpoint"))
    assert half + [second.step().loss for _ in range(3)] == losses
    for run, name in ((whole, "whole"), (second, "second")):
        run.save(str(tmp_path / name))
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "second").read_bytes()


def test_steps_of_one_shape_are_planned_once_and_dropout_changes_them(model: Path, data: Path) -> None:
    lines = [json.dumps({"prompt": "w1 " * count, "completion": "w2 " * (9 - count)}) for count in range(1, 9)]
    data.write_text("\n".join(lines))  # steps with other numbers of targets
    losses = []
    for dropout in (0.0, 0.5):
        settings = Settings(2, dropout=dropout, steps=8, batch_size=1, sequence_length=64, learning_rate=0.05)
        run = Run(str(model), str(data), settings)
        losses.append([run.step().loss for _ in range(8)])
        assert run._train.num_recordings == 1
    assert losses[0][0] == losses[1][0]  # B is zero at first
    assert losses[0][1:] != losses[1][1:] and losses[1][-1] < losses[1][0]


def test_an_interrupt_writes_what_there_is_and_resume_goes_on(model: Path, data: Path, tmp_path: Path) -> None:
    output, whole = tmp_path / "adapter.gguf", tmp_path / "whole.gguf"
    command = [sys.executable, "-m", "ggml", "finetune", model, "--data", data, "-o", output, "--steps", "40",
               "--sequence-length", "32", "--batch-size", "2", "--lora-rank", "2", "--threads", "1",
               "--learning-rate", "0.01"]  # fmt: skip
    with subprocess.Popen([str(one) for one in command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("step 1/40")
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    assert process.returncode == 130
    assert "of 40 steps; --resume goes on" in said
    assert output.exists() and Path(f"{output}.checkpoint").exists()
    assert _run(model, data, output, "--steps", 40, "--resume") == 0
    assert _run(model, data, whole, "--steps", 40) == 0
    assert output.read_bytes() == whole.read_bytes()
    assert Path(f"{output}.jsonl").read_text() == Path(f"{whole}.jsonl").read_text()
    assert not Path(f"{output}.checkpoint").exists()


def _texts(model: Path, name: str, content: str) -> Path:
    path = model.with_name(name)
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "more", "why"),
    [
        ("a.jsonl", "", (), "data: there is no text in it"),
        ("a.txt", " \n", (), "data: there is no text in it"),
        ("a.jsonl", '{"text": "w1"}\n{"text": 3}\n', (), 'line 2: must be {"text": "..."} or {"prompt"'),
        ("a.jsonl", "w1\n", (), "line 1: is no JSON"),
        ("a.jsonl", '{"prompt": "w1 w2", "completion": "' + "w3 " * 40 + '"}\n', (), "more than --sequence-length 32"),
        ("a.txt", "w1 w2", ("--sequence-length", 257), "--sequence-length 257 is more than the model's context of 256"),
        ("a.txt", "w1 w2", ("--lora-rank", 0), "--lora-rank must be at least 1, not 0"),
        ("a.txt", "w1 w2", ("--lora-dropout", 1), "--lora-dropout must be at least 0 and less than 1, not 1"),
        ("a.txt", "w1 w2", ("--lora-targets", "attn_q,nonsense"), "'nonsense' is none of attn_q"),
        ("a.txt", "w1 w2", ("--learning-rate", "nan"), "--learning-rate must be positive and finite"),
        ("a.txt", "w1 w2", ("--resume",), "--resume there is no "),
    ],
)
def test_what_is_refused(name: str, content: str, more: tuple[Any, ...], why: str, model: Path, capsys: Any) -> None:
    assert _run(model, _texts(model, name, content), model.with_name("out.gguf"), *more) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and why in said and said.count("\n") == 1, said
    assert not model.with_name("out.gguf").exists()


def test_a_loss_that_is_no_number_ends_the_run(model: Path, data: Path, capsys: Any) -> None:
    output = model.with_name("out.gguf")
    assert _run(model, data, output, "--steps", 20, "--learning-rate", 1e30) == 1
    said = capsys.readouterr().err
    assert "--learning-rate the loss is nan at step 2; give a smaller one" in said and said.count("\n") == 1
    assert not output.exists()


def test_files_that_are_none(model: Path, data: Path, capsys: Any) -> None:
    for given in ((data, data, model.with_name("out.gguf")), (model, model.with_name("none"), model.with_name("o"))):
        assert _run(*given) == 1
    assert _run(model, data, model) == 1
    said = capsys.readouterr().err.splitlines()
    assert (
        len(said) == 3 and "magic" in said[0] and "No such file" in said[1] and "exists; give another name" in said[2]
    )


def test_a_checkpoint_of_another_run_is_refused(model: Path, data: Path, tmp_path: Path, capsys: Any) -> None:
    output = tmp_path / "adapter.gguf"
    settings = Settings(rank=2, steps=4, batch_size=2, sequence_length=32, learning_rate=0.01)
    run = Run(str(model), str(data), settings)
    run.step()
    run.save_checkpoint(f"{output}.checkpoint")
    other = _texts(model, "other.jsonl", '{"text": "w1 w2 w3"}\n')
    assert _run(model, data, output, "--steps", 4, "--seed", 1, "--resume") == 1
    assert _run(model, other, output, "--steps", 4, "--resume") == 1
    Path(f"{output}.checkpoint").write_bytes(model.read_bytes())
    assert _run(model, data, output, "--steps", 4, "--resume") == 1
    said = capsys.readouterr().err.splitlines()
    assert "seed: was 0, is 1 now" in said[0] and "data: was " in said[1] and "this is no checkpoint" in said[2]


def test_what_is_learned_of_a_text(model: Path) -> None:
    """A text with its end; of a prompt and its completion the completion alone; long texts go on in a new row."""
    texts = Texts(str(model), 8)
    (text,) = Texts(str(model), 64).of_text("w1 w2")
    assert text.tokens.tolist()[0] == 1 and text.targets.tolist() == [*text.tokens.tolist()[1:], 2]
    (answer,) = Texts(str(model), 64).of_answer("w1 w2", " w3")
    learned = [one for one in answer.targets.tolist() if one != IGNORED]
    assert learned[-1] == 2 and 0 < len(learned) < len(answer.targets)
    assert answer.targets.tolist()[-len(learned) :] == learned
    rows = texts.of_text("w1 w2 w3 w4 w5 w6 w7")
    assert [len(row.tokens) for row in rows[:-1]] == [8] * (len(rows) - 1) and len(rows) > 1
    assert all(one.targets[-1] == other.tokens[0] for one, other in pairwise(rows))


def test_lines_come_while_a_step_takes_long() -> None:
    said: list[str] = []
    with Progress(0, 9, said.append, interval_s=0.02) as progress:
        while len(said) < 2:
            pass
        progress.add(Done(1, 2.5, 1e-3, 100))
    assert said[0].startswith("step 1/9  begun 0 s ago")
    assert any(line.startswith("step 1/9  loss 2.5000") for line in said)


def test_the_curve_has_a_bar_for_each_tenth() -> None:
    rows = curve([(step, 4.0 if step <= 10 else 1.0) for step in range(1, 21)]).splitlines()
    assert len(rows) == 11
    assert rows[1].split() == ["1-2", "4.0000", "#" * 40] and rows[-1].split() == ["19-20", "1.0000", "#" * 10]
