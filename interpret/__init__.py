"""Looking inside a trained model, and proving an untrained one."""
