"""`tagwerk annotate`: tags or classifies the lines of files, without a server."""
