"""Classifies digits: MNIST's files, a loader, a compiled step, metrics, and a run that can be stopped and go on.

python -m ggml.examples.digits                          # digits that are drawn for it
python -m ggml.examples.digits --data FOLDER            # MNIST, or what has its files
python -m ggml.examples.digits --checkpoints runs/a     # goes on from the last epoch that is there
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ggml as torch
from ggml import metrics, nn
from ggml.examples.drawn_digits import write_digits


class Net(nn.Module):
    """Images [N, 1, 28, 28] to the scores of ten digits [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(16 * 7 * 7, 10))

    def forward(self, x: torch.Tensor) -> Any:
        return self.classifier(self.features(x))


def images_of(folder: str | Path, train: bool) -> torch.data.TensorDataset:
    """MNIST's images as float32 [N, 1, 28, 28] from -1 to 1, and their digits, int64 [N]."""
    found = torch.data.datasets.MNIST(folder, train, as_array=True)
    images = torch.tensor(found.data, dtype=torch.float32) / 127.5 - 1
    return torch.data.TensorDataset(images.unsqueeze(1), torch.tensor(found.targets))


def evaluate(model: Net, dataset: torch.data.TensorDataset) -> float:
    """The share of images whose digit is found."""
    accuracy = metrics.Accuracy()
    model.eval()
    with torch.no_grad():
        for x, y in torch.data.DataLoader(dataset, batch_size=256):
            accuracy.update(model(x), y)
    model.train()
    return float(accuracy.compute())


def train(data: str | Path, checkpoints: str | Path, epochs: int = 3, report: Callable[[str], object] = print) -> float:
    """Trains up to ``epochs``, from the last checkpoint on, and returns the accuracy on the test images."""
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    loader = torch.data.DataLoader(images_of(data, True), batch_size=64, shuffle=True, drop_last=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    step = torch.compile_step(model, nn.functional.cross_entropy, optimizer, max_norm=1.0)
    kept = torch.utils.Checkpointer(checkpoints, model=model, optimizer=optimizer, scheduler=scheduler, loader=loader)
    test, first = images_of(data, False), kept.restore() or 0
    for epoch in range(first + 1, epochs + 1):
        loss = metrics.Mean()
        for x, y in loader:
            loss.update(step(x, y))
            scheduler.step()
        report(f"epoch {epoch}: loss {loss.compute():.3f}, accuracy {evaluate(model, test):.3f}")
        # Last, because a loader draws a seed for each round: whoever goes on from here draws what follows now.
        kept.save(epoch)
    return evaluate(model, test)


def main() -> None:
    """Print a line for each epoch."""
    parser = argparse.ArgumentParser(prog="python -m ggml.examples.digits", description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a folder with MNIST's four files; without it digits are drawn")
    parser.add_argument("--checkpoints", help="a folder; without it nothing is kept")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or write_digits(Path(folder) / "data")
        train(data, options.checkpoints or Path(folder) / "checkpoints", options.epochs)


if __name__ == "__main__":
    main()
