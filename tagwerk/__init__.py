"""The package for programs that use a tagwerk service: `tagwerk.client`. The distribution tagwerk-client owns it."""
