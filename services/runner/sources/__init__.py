"""Node sources: what discovers nodes on a runner, one package or module each."""
