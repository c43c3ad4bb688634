"""From sampled tokens to text: vocabulary, whole characters, stop strings, and why a text ends."""
