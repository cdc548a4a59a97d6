"""The privacy officer's pages: calls, cases, the audit, access reports and the policy, each by the part that its API
door uses, with the same policy and the same rows."""
