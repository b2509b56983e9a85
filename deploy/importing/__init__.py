"""Room: models that others have made, as bundles."""
