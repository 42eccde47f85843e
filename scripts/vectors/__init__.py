"""Makes the language-neutral test vectors under `vectors/`; see its README."""
