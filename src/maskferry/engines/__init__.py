"""Tracking backends: the contract, the registry, and the engines that come with maskferry."""
