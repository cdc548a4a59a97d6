"""The page of one patient's record: what is held, in the words and the order of a clinician."""
