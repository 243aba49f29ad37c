# `just` lists these. CI runs `.ci/run`, which has the same steps.

_default:
    @just --list --unsorted

# All that CI runs, in its order
ci:
    .ci/run

# Formats Rust and Go
fmt:
    cargo fmt
    git ls-files '*.go' | xargs gofmt -w

# Formatting, clippy, licences and sources of dependencies, shell scripts
lint:
    .ci/run tools fmt clippy deny scripts

# All tests, those on the lab too; arguments go to cargo
test *arguments:
    cargo test --locked {{ arguments }}

# Builds the lab; the first time takes 20 minutes
lab:
    tests/lab/build.sh

# Builds platctl and the lab, starts it, installs the dev profile
try directory="target/lab/run":
    tests/lab/try.sh {{ directory }}

# Proves the lab's real node: containers on this machine. Needs root
real-node:
    tests/lab/real/try.sh

# Go: formatting, vet, unit tests, the generated CRDs
go:
    .ci/run fmt crds lab go

# Takes what the tests show now as what they expect; look at the difference before the commit
golden:
    INSTA_UPDATE=always cargo test --locked
    git status --short tests docs

# Generates the charts' CRDs anew
crds:
    cd embedded/crds && go run . ../charts

# The static binary, its proof and its size
static:
    .ci/run tools static

# A release's files in target/release-files, proven; see docs/release.md
release *steps:
    .ci/release {{ steps }}

# Records the README's picture of an installation anew
picture:
    docs/terminal/record.py

# Figures of one run on the lab beside their aims
bench *arguments:
    tests/bench/run.py {{ arguments }}
