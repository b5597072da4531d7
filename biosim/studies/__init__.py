"""Studies: experiments that are no development of one network, one file a question."""
