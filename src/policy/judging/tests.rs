//! Judging, from outside.

mod labels;
