//! The topology core, sans-IO: agent changes in, view differences out.
