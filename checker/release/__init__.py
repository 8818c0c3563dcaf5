"""What is done with a judged run: packs, cards, exports, comparisons."""
