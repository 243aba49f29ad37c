//! How a credential is known that should not be where it is.

use regex::Regex;

/// What a credential looks like: a key in PEM, tokens of known shapes, or a literal after a name that promises one.
pub(crate) fn pattern() -> Regex {
    Regex::new(
        r#"(?x)
        -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY
        | \b(AKIA[0-9A-Z]{16} | gh[pousr]_[A-Za-z0-9]{30,} | glpat-[A-Za-z0-9_-]{20} | eyJ[A-Za-z0-9_-]{10,}\.eyJ)
        | \$2[aby]\$[0-9]{2}\$
        | (?i:\b[a-z_.-]*(password|passwd|secret[_-]?key|client[_-]?secret|api[_-]?key|access[_-]?token)["']?\s*[:=]\s*["']?[a-z0-9+/_-]{6,}["']?\s*$)
        | ://[^/\s:@{]+:[^/\s:@{]+@
        "#,
    )
    .unwrap()
}

#[test]
fn a_credential_is_known_when_seen() {
    let credential = pattern();
    for seen in [
        "-----BEGIN RSA PRIVATE KEY-----",
        "password: hunter2hunter2",
        "  GF_SECURITY_ADMIN_PASSWORD=admin123",
        r#""clientSecret": "0a1b2c3d4e5f""#,
        "url: https://git:s3cret99@git.example.org/x.git",
        "admin.password: $2y$10$abcdefghijklmnopqrstuv",
    ] {
        assert!(credential.is_match(seen), "{seen}");
    }
    for seen in [
        "password: {random: 32}",
        "SECRET_KEY_URI = file:/etc/gitea/SECRET_KEY",
        r#"--password "$ADMIN_PASSWORD" --must-change-password=false"#,
        "- secretKeyRef: {name: postgres-app, key: password}",
        "passwordPolicy: length(12)",
    ] {
        assert!(!credential.is_match(seen), "{seen}");
    }
}
