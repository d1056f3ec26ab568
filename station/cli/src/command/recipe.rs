//! `firstlight recipe`: list, show and check recipes.

use clap::{Args as ClapArgs, Subcommand};
use jiff::Timestamp;
use recipes::Recipe;
use station::sequence::preflight;

use crate::bench_file::BenchFile;
use crate::command::run::load_recipe;
use crate::failure::Failure;
use crate::terminal;

/// Arguments of `recipe`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  firstlight recipe list\n  firstlight recipe show 400g-fr4 > mine.toml\n  firstlight recipe check ./mine.toml --bench ./bench.toml"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Names, revisions and descriptions of the built-in recipes.
    List,
    /// The text of a built-in recipe, to copy and change.
    Show {
        /// Built-in name.
        name: String,
    },
    /// All faults of a recipe, and of it together with a bench.
    Check {
        /// A path, or a built-in name.
        file: String,
        /// A bench to check it against: a path, or a built-in name.
        #[arg(long)]
        bench: Option<String>,
    },
}

pub(crate) fn main(args: &Args) -> Result<u8, Failure> {
    match &args.action {
        Action::List => {
            for (name, text) in recipes::library() {
                let recipe = Recipe::parse(text).map_err(|f| Failure::faults(name, &f))?;
                terminal::print(format_args!(
                    "{name:<16} rev {:<3} {:<20} {}",
                    recipe.revision, recipe.part_number, recipe.description
                ));
            }
        }
        Action::Show { name } => {
            load_recipe(name)?;
            terminal::print_text(format_args!("{}", recipes::named(name).unwrap_or_default()));
        }
        Action::Check { file, bench } => {
            let recipe = load_recipe(file)?;
            if let Some(bench) = bench {
                let bench = BenchFile::load(bench)?;
                let problems = preflight(&recipe, &bench.config, None, Timestamp::now());
                if !problems.is_empty() {
                    return Err(Failure::problems(&problems));
                }
            }
            terminal::print(format_args!(
                "{file}: recipe {} rev {} is in order ({} steps)",
                recipe.product,
                recipe.revision,
                recipe.steps.len()
            ));
        }
    }
    Ok(0)
}
