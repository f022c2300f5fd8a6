"""People and machines that call the API: who they are, which tenant they speak for, and what they may do there."""
