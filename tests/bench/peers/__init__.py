"""What others would write instead of the gateway, each a server of its own that answers `GET /record`.

Each asks the same sources the same questions, and none of them knows tokens, choices, policies or an audit. They are
kept small, and as quick as their kind allows: what is measured is the way, not somebody's carelessness.
"""
