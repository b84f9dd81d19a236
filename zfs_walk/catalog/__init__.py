"""What a walk found, as a folder: totals, Parquet segments, manifest, queries."""
