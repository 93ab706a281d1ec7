//! Every method of every table, made up at random and read back.
