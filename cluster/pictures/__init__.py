"""Pictures in prompts: checked, and made rows that stand for tokens, by llama.cpp's mtmd in a process of its own."""
