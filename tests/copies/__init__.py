"""`--to`: a copy of the store in a directory, a tar or an OCI layout."""
