"""Readers of files that lie on this machine; nothing is ever downloaded."""

from __future__ import annotations

from ggml.data.datasets.cifar import CIFAR10, CIFAR100
from ggml.data.datasets.image_folder import ImageFolder
from ggml.data.datasets.mnist import MNIST, FashionMNIST
from ggml.data.datasets.packed_text import PackedText

__all__ = ["CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "ImageFolder", "PackedText"]
