"""Facts of others, and what tenancy does about them."""
