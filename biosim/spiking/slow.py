"""placeholder"""
def start_states(simulation): pass
