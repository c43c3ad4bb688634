"""The streams between the coordinator and the stages."""
