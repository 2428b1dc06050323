"""Judge what was measured and write it down: claims, results as JSON, tables and the chart."""
