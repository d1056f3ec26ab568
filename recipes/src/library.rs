//! The product library: the recipes that come with Firstlight.

/// Names and texts of the built-in recipes, by name.
pub fn library() -> &'static [(&'static str, &'static str)] {
    &[
        ("400g-fr4", include_str!("../products/400g-fr4.toml")),
        ("800g-dr8", include_str!("../products/800g-dr8.toml")),
        ("pic-through", include_str!("../products/pic-through.toml")),
    ]
}

/// The text of a built-in recipe.
pub fn named(name: &str) -> Option<&'static str> {
    library().iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use crate::Recipe;

    #[test]
    fn every_recipe_of_the_library_can_run_and_is_named_as_its_file() {
        for (name, text) in super::library() {
            let recipe = Recipe::parse(text).unwrap_or_else(|e| panic!("{name}: {:?}", e.0));
            assert_eq!(&recipe.product, name);
        }
    }
}
