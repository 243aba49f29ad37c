//! the functions of Helm's templates
