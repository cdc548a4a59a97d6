"""The published contracts: OpenAPI documents of both APIs, made from the tables that the gateway itself obeys."""
