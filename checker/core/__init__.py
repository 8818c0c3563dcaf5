"""What every other package stands on: errors, layouts, the nouns, statistics, rules, and the store."""
