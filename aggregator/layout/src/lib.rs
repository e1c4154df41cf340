//! Where nodes are drawn: a two-level force layout whose nodes stay put.
