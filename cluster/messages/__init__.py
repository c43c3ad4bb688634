"""The messages that pass between coordinator and stages; each says who fills its fields."""
