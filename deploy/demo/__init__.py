"""The story that `make demo` tells: real requests through real Envoys, and who decided on them."""
