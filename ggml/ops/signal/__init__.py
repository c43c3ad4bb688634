"""Fourier transforms, windows, and complex numbers as pairs."""
