"""Operations that look at each element by itself."""
