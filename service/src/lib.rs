//! What the main of every Mesoscope service shares: configuration, the listen rule, TLS, tokens, logs, drain.
