"""Studies: one file a question that no developing network answers, measured replicate by replicate."""
