"""What a text must look like: grammars as text, checked before anybody waits for them, and the matcher of one."""
