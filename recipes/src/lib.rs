//! recipes.
