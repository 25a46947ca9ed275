"""How good vectors are: word tests now; splits, ranking metrics and baselines with the recommenders."""
