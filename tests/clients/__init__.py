"""Real FHIR clients against a real gateway: what each of them sees, and what becomes of what it is told.

installed.py       the clients, installed at their exact versions, and the Node.js that runs three of them
world.py           a running demo, and what can be done to it: sources that fail, a caller who asks too much
programs/          one small program a client: it does its cases and prints one JSON object of what it saw
cases.py           the cases, and what each of them must have seen
suite.py           runs programs and holds what they saw against the cases
table.py           the README's table, from results.json, which the suite's own run compares with what it saw
fences.py          the fenced commands of a document, as one script
"""
