"""`connectcare connector …`: make, check, list, describe and try connectors.

The conformance kit runs as a process of its own (`python -m connectors.kit.cli`): the gateway never imports it.
"""
