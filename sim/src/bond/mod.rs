//! What happens when fibre and part meet: contact, friction and scratches; glue that is wet, gels, shrinks and ages. Pure;
//! knows no stage, no lamp's driver and no recipe.

pub mod contact;
pub mod epoxy;
