"""The closed-form ridge learner: solutions and leave-one-out scores of all labels and lambdas."""
