"""The folder `examples`: requests and answers of synthetic patients, made anew with `python -m tests.examples`."""
