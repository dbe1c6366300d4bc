"""A light workload: the whole platform with a provider whose agents are tiny, so that a deploy takes a second."""
