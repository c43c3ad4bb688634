"""Chats about stories: somebody asks for one, has it changed, says hello. Written by a grammar, as the stories are."""
