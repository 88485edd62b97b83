"""What programs that use a tagwerk service import: `tagwerk.client`."""
