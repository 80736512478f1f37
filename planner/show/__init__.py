"""What terminal, pages and notebooks share: words, small frames and charts of a study."""
