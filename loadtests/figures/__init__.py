"""Figures of the service beside requests per second. A module measures one of them."""
