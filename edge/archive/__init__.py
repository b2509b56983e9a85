"""Room: recordings heard into a dataset of Parquet files that survives anything."""
