"""
RequestAuthentication, and the tokens it asks about.

Documents are read by `request_authentication` and `jwt_rule_reader`. `authenticate` is the way of a
request: `credentials` finds its token, `token` reads it strictly, `provider` knows which rules take
it, `verified_tokens` remembers it, `header_changes` and `claim_headers` say what the upstream is
told, `refusal` what the client is.
"""
