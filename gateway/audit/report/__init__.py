"""The patient's access report: who looked, why, what they saw, what was refused; and proof that it is all."""
