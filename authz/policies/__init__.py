"""
AuthorizationPolicy, from document to verdict.

Read (`authorization_policy`, `rules`), compiled at load (`policy`, `checks`) to closures over what
a request is (`subject`). `attributes` and `conditions` are the tables of fields and `when` keys;
`patterns`, `principals`, `trust_domains`, `claims`, `addresses`, `path_template` match.
"""
