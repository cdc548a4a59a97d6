"""`connectcare choice`: what staff type who take the patient's call. A client of the gateway like any other."""
