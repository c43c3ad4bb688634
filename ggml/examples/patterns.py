"""Fine-tunes a ResNet of torchvision's: its weights as ``torch.save`` wrote them, on classes of one's own.

    python -c "import torch, torchvision; torch.save(torchvision.models.resnet18().state_dict(), 'resnet18.pt')"
    python -m ggml.examples.patterns resnet18.pt

The classes are patterns, drawn here. With images of your own give ``train`` a ``ggml.data.datasets.ImageFolder``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

import ggml as torch
from ggml import metrics, nn
from ggml.data import DataLoader, TensorDataset
from ggml.vision import models, transforms

CLASSES = ("stripes across", "stripes down", "squares")


def patterns(total: int, seed: int, size: int = 32) -> TensorDataset:
    """Images float32 [total, 3, size, size] from 0 to 1, of random widths and greys, with noise; and int64 [total]."""
    rng = np.random.default_rng(seed)
    images, labels = np.empty((total, 3, size, size), np.float32), rng.integers(0, len(CLASSES), total)
    for image, label in zip(images, labels, strict=True):
        width, (row, column) = rng.integers(2, 6), np.indices((size, size)) + rng.integers(0, 8, 2)[:, None, None]
        down, across = column // width % 2, row // width % 2
        mask = (across, down, down ^ across)[label]
        image[:] = np.where(mask, rng.uniform(0, 0.3), rng.uniform(0.7, 1)) + rng.normal(0, 0.1, image.shape)
    return TensorDataset(torch.tensor(images.clip(0, 1)), torch.tensor(labels))


def pretrained(path: str, num_classes: int) -> nn.Module:
    """resnet18 with the weights of the file, and a new last layer."""
    model = models.resnet18()
    model.load_state_dict(torch.load(path))
    model.fc = nn.Linear(model.fc.in_features, num_classes)
    return model


def train(
    path: str,
    dataset: Any,
    test: Any,
    epochs: int = 2,
    is_frozen: bool = False,
    report: Callable[[str], object] = print,
) -> tuple[float, float]:
    """The accuracy on ``test`` before and after. Samples are an image [3, H, W] from 0 to 1 and the number of a class.

    ``is_frozen``: only the new layer learns, which takes a fraction of the time.
    """
    torch.manual_seed(0)
    model = pretrained(path, len(CLASSES))
    normalise = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    # What was learnt before moves slowly, the new layer faster.
    old = [param for name, param in model.named_parameters() if not name.startswith("fc.")]
    new = {"params": model.fc.parameters(), "lr": 5e-3}
    if is_frozen:
        model.eval()  # what batch norms have counted stays, too
        for param in old:
            param.requires_grad_(False)
    groups = [new] if is_frozen else [{"params": old, "lr": 5e-4}, new]
    step = torch.compile_step(model, nn.functional.cross_entropy, torch.optim.AdamW(groups))
    before = evaluate(model, normalise, test)
    for epoch in range(1, epochs + 1):
        loss = metrics.Mean()
        for x, y in DataLoader(dataset, batch_size=16, shuffle=True, drop_last=True):
            loss.update(step(normalise(x), y))
        report(f"epoch {epoch}: loss {loss.compute():.3f}, accuracy {evaluate(model, normalise, test):.3f}")
    return before, evaluate(model, normalise, test)


def evaluate(model: nn.Module, normalise: Callable[[Any], Any], test: Any) -> float:
    """The share of images whose class is found. The model is left in the mode that it was in."""
    accuracy, mode = metrics.Accuracy(), model.training
    model.eval()
    with torch.no_grad():
        for x, y in DataLoader(test, batch_size=64):
            accuracy.update(model(normalise(x)), y)
    model.train(mode)
    return float(accuracy.compute())


def main() -> None:
    """Print a line for each epoch."""
    parser = argparse.ArgumentParser(prog="python -m ggml.examples.patterns", description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="a state dict of resnet18: what torch.save wrote, GGUF or safetensors")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--frozen", action="store_true", help="only the new layer learns")
    options = parser.parse_args()
    train(options.weights, patterns(480, 0), patterns(120, 1), options.epochs, options.frozen)


if __name__ == "__main__":
    main()
