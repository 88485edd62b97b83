"""`tagwerk annotate`: tags or judges the lines of files, without a server."""
