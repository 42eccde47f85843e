"""What travels beside the tokens: typed headers, bodies, metadata documents, interaction codes, problems."""
