"""`tagwerk annotate`: tags or classifies the texts of files, without a server."""
