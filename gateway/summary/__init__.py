"""The International Patient Summary: which sections, why one is empty, and the words of each."""
