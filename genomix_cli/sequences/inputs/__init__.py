"""What sequences are made from: FASTA, tables and genotypes, each read once and piece by piece."""
