"""Operations over spatial axes: convolution, pooling, padding, resampling."""
