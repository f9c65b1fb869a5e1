"""
The keys of the issuers.

Read (`jwk`, `jwks`, `signatures`), found (`key_location`, `web_address`), fetched (`key_fetch`)
and kept fresh (`key_ring`, `key_record`).
"""
